# input: {"x":null}
# opa: 0
package t

result := to_number(input.x)
