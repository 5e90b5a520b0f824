package t

f(x) if {
	x == 1
}

f(x) if {
	x == 2
}

result := [f(1), f(2)]
