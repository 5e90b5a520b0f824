# opa: error: rego_parse_error: `if` keyword is required before rule body
package t

deny[msg] {
	msg := "a"
}

result := deny
