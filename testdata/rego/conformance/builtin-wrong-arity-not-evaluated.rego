# opa: error: rego_type_error: startswith: arity mismatch
package t

p if startswith("a")

result := 1
