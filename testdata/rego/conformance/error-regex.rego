# input: {"x":"("}
# opa: []
package t

result := [y | y := regex.match(input.x, "a")]
