# input: {}
# opa: [[],[]]
package t

result := [[1 | input.missing == input.missing], [1 | input.missing != 1]]
