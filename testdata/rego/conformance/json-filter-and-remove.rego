# opa: [{"a":{"c":[5]}},{"a":{"c":2}}]
package t

result := [json.filter({"a": {"b": 1, "c": [5, 6]}}, ["a/c/0"]), json.remove({"a": {"b": 1, "c": 2}}, ["a/b"])]
