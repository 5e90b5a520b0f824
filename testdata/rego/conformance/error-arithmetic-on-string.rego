# input: {"x":"2"}
# opa: []
package t

result := [y | y := input.x * 2]
