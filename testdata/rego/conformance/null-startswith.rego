# input: {"x":null}
# opa: []
package t

result := [1 | startswith(input.x, "a")]
