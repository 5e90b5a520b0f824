# input: {"c":[{"n":"a"}]}
# opa: error: rego_unsafe_var_error: var _ is unsafe
package t

result if not startswith(input.c[_].n, "x")
