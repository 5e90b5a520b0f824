# opa: error: rego_parse_error: contains keyword cannot be used for rule name
package t

contains := 1

result := 1
