# opa: [3,12]
package t

result := [plus(1, 2), mul(3, 4)]
