package t

result if {
	input.a
}

result if {
	input.b
}
