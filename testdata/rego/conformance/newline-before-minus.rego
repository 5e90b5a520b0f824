# input: {"a":1}
# opa: false
package t

result := y if {
	y := input.a
	-1 < 0
}
