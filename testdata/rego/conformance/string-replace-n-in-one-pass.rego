# opa: "bc"
package t

result := strings.replace_n({"a": "b", "b": "c"}, "ab")
