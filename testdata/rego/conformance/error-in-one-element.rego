# input: {"x":["1","b","3"]}
# opa: [1,3]
package t

result := [y | some s in input.x; y := to_number(s)]
