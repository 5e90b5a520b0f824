# opa: error: rego_parse_error: `contains` keyword is required for partial set rules
package t

deny["a"]

result := deny
