# opa: error: rego_type_error: match error
package t

result := [1 | [1, 2] == [1]]
