# opa: error: rego_compile_error: variables must not shadow input (use a different variable name)
package t

result if {
	input := 1
	input == 1
}
