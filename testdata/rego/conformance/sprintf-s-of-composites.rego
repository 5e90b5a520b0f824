# opa: "[\"a\", \"b\"] {\"k\": \"v\"}"
package t

result := sprintf("%s %s", [["a", "b"], {"k": "v"}])
