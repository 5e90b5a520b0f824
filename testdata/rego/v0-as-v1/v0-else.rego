package t

f(x) := "big" if {
	x > 10
} else := "small" if {
	x > 1
} else := "none"

result := [f(11), f(2), f(0)]
