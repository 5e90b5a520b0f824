# opa: error: rego_type_error: multiple default rules data.t.result
package t

default result := 1

default result := 2
