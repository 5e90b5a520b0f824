# opa: error: rego_compile_error: var x referenced above
package t

result if {
	x > 1
	x := 2
}
