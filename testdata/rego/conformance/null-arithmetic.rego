# input: {"x":null}
# opa: []
package t

result := [y | y := input.x + 1]
