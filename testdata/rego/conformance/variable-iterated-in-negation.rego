# input: {"c":[{"n":"a"}]}
# opa: error: rego_unsafe_var_error: var i is unsafe
package t

result if {
	some i
	not input.c[i].n == "x"
}
