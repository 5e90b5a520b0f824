# input: {"x":null}
# opa: []
package t

result := [c | some c in input.x]
