# input: {"x":{"y":1}}
# opa: error: rego_parse_error: unexpected with keyword: expected "," or "]"
package t

result := [input.x.y with input.x.y as 5, input.x.y with input as {"x": {"y": 6}}, input.x.y]
