# input: {"x":1.0}
# opa: 1.0
package t

result := input.x
