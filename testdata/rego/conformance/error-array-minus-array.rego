# input: {"x":["a"]}
# opa: []
package t

result := [y | y := {"a"} - input.x]
