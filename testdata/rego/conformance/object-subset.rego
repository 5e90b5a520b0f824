# opa: [true,true,false,true]
package t

result := [object.subset({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}), object.subset([1, 2, 3], [2, 3]), object.subset([1, 2, 3], [1, 3]), object.subset({1, 2}, {1})]
