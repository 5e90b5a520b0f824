# opa: error: rego_parse_error: expressions using with keyword cannot be used for rule head
package t

result := http.send({"method": "get"}).body with http.send as {"body": 7}
