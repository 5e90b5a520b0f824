# input: {"x":null}
# opa: "null null"
package t

result := sprintf("%s %v", [input.x, input.x])
