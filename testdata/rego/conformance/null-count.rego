# input: {"x":null}
# opa: []
package t

result := [1 | count(input.x) == 0]
