# opa: error: rego_compile_error: var x referenced above
package t

result if {
	y := x + 1
	some x in [1]
}
