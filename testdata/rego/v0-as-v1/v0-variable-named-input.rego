package t

result if {
	x := input with input as 3
	x == 3
}
