# opa: []
package t

result := [y | y := numbers.range_step(1, 3, 0)]
