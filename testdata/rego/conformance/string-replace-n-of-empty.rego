# opa: ["-a-x-c-","1b1b"]
package t

result := [strings.replace_n({"": "-", "b": "x"}, "abc"), strings.replace_n({"a": "1", "ab": "2"}, "abab")]
