# input: {"a":1}
# opa: true
package t

result if {
	x := input.a
	(x == 1)
}
