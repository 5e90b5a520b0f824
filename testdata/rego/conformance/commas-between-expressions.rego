# opa: error: rego_parse_error: unexpected , token: expected \n or ; or }
package t

result if { 1 == 1, 2 == 2 }
