# input: {"a":1}
# opa: true
package t

result if {
	input.a
	(1 == 1)
}
