# input: {"a":[1]}
# opa: [1]
package t

result := y if {
	y := input.a
	[x] = y
	x == 1
}
