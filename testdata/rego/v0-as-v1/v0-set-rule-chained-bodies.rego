package t

result contains x if {
	x := 1
}

result contains x if {
	x := 2
}
