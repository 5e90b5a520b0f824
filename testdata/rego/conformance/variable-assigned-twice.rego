# opa: error: rego_compile_error: var x assigned above
package t

result if {
	x := 1
	x := 2
}
