# opa: {"a/b":1}
package t

result := json.filter({"a/b": 1, "c": 2}, ["a~1b"])
