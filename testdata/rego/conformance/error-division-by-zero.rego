# input: {"x":0}
# opa: []
package t

result := [y | y := 1 / input.x]
