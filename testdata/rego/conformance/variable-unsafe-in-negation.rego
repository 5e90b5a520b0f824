# opa: error: rego_unsafe_var_error: var x is unsafe
package t

result if not x == 1
