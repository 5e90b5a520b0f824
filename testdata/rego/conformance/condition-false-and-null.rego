# input: {"f":false,"n":null,"z":0,"e":""}
# opa: [[],[1],[1],[1],[1]]
package t

result := [[1 | input.f], [1 | input.n], [1 | input.z], [1 | input.e], [1 | x := input.f]]
