# opa: [[1,2,3],[3,2,1],[1,5,9]]
package t

result := [numbers.range(1, 3), numbers.range(3, 1), numbers.range_step(1, 10, 4)]
