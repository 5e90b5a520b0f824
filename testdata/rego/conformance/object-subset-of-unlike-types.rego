# input: {"x":["a"]}
# opa: []
package t

result := [y | y := object.subset(input.x, {"a": 1})]
