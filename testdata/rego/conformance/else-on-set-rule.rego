# opa: error: rego_parse_error: else keyword cannot be used on multi-value rules
package t

result contains 1 if false

else := 2
