# opa: error: rego_compile_error: args must not shadow input (use a different variable name)
package t

f(input) := 1

result := f(2)
