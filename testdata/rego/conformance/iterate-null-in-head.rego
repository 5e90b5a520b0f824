# input: {"x":null}
# opa: undefined
package t

result := input.x[_]
