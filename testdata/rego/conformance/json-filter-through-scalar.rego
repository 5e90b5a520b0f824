# opa: [{"a":1},{"a":1},{"a":{"b":1,"c":2}},{}]
package t

result := [json.filter({"a": 1}, ["a/b"]), json.remove({"a": 1}, ["a/b"]), json.filter({"a": {"b": 1, "c": 2}}, ["a/b", "a"]), json.filter({"a": 1}, [""])]
