package t

f(x) := y if {
	y := x
}

f(x) := y if {
	y := x + 1
}

result := f(1)
