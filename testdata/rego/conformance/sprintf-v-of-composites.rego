# opa: "[\"a\", 1, null] {\"k\": [\"v\"]} {\"x\"} true"
package t

result := sprintf("%v %v %v %v", [["a", 1, null], {"k": ["v"]}, {"x"}, true])
