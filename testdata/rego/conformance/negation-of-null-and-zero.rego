# input: {"n":null,"z":0,"e":""}
# opa: [[],[],[]]
package t

result := [[1 | not input.n], [1 | not input.z], [1 | not input.e]]
