# opa: error: rego_parse_error: expressions using with keyword cannot be used for rule head
package t

result := time.now_ns() with time.now_ns as 1577836800000000000
