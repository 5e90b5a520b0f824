# opa: [true,true,0,true,"k",true,true]
package t

result := [2 in [1, 2], "b" in {"x": "b"}, 0, 1 in [1], "k", 1 in {"k": 1}, 1 in {1}]
