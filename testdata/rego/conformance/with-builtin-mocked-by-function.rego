# opa: error: rego_parse_error: expressions using with keyword cannot be used for rule head
package t

g(x) := 9

result := count([1]) with count as g
