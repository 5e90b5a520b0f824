# input: {}
# opa: []
package t

result := [x | some x in input.missing]
