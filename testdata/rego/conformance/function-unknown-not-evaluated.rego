# opa: error: rego_type_error: undefined function nosuch
package t

p if nosuch(1)

result := 1
