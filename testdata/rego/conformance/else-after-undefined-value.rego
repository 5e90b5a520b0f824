# input: {}
# opa: [2,1,3]
package t

f(x) := x.a if {
	true
} else := 2

r := input.a if {
	true
} else := 3

result := [f({}), f({"a": 1}), r]
