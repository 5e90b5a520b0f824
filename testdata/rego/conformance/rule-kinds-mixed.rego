# opa: error: rego_type_error: conflicting rules data.t.result found
package t

result := 1

result contains 2
