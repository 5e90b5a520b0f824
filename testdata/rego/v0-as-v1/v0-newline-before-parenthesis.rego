package t

result if {
	x := input.spec.max
	(x - input.min) > 1
}
