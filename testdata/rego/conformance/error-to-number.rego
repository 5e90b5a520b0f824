# input: {"x":"abc"}
# opa: []
package t

result := [y | y := to_number(input.x)]
