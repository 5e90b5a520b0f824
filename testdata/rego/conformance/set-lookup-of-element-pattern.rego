# opa: [2]
package t

result := [x | {[1, 2], [3, 4]}[[1, x]]]
