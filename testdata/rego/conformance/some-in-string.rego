# input: {"x":"abc"}
# opa: []
package t

result := [c | some c in input.x]
