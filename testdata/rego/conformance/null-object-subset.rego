# input: {"x":null}
# opa: []
package t

result := [y | y := object.subset(input.x, {})]
