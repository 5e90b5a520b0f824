# input: {"x":false}
# opa: undefined
package t

result if {
	some c in input.x
	c
}
