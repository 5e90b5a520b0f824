# opa: [1,2,null,0,{"a":1}]
package t

result := [object.get({"a": {"b": 1}}, ["a", "b"], 0), object.get({"a": [1, 2]}, ["a", 1], 0), object.get({"a": null}, "a", 0), object.get({"a": 1}, ["a", "b"], 0), object.get({"a": 1}, [], 0)]
