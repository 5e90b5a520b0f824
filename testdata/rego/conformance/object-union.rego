# opa: [{"a":{"b":1,"c":2},"x":[2]},{"a":{"b":2}}]
package t

result := [object.union({"a": {"b": 1}, "x": [1]}, {"a": {"c": 2}, "x": [2]}), object.union({"a": 1}, {"a": {"b": 2}})]
