# input: {}
# opa: [3,4,4]
package t

f(x) := x.a.b if {
	x.c
} else := x.d if {
	x.c
} else := 4

result := [f({"c": true, "d": 3}), f({"c": true}), f({})]
