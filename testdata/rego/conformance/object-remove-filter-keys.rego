# opa: [{"b":2},{"a":1},["a","b"]]
package t

result := [object.remove({"a": 1, "b": 2}, ["a"]), object.filter({"a": 1, "b": 2}, {"a"}), object.keys({"b": 1, "a": 2})]
