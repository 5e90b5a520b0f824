package t

accept("any", _) := true

accept("one", x) := y if {
	y := x == 1
}

result := [accept("any", 5), accept("one", 1), accept("one", 2)]
