# input: {"x":5}
# opa: -5
package t

result := -input.x
