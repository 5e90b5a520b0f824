# input: {"x":5.5}
# opa: []
package t

result := [y | y := input.x % 2]
