# opa: [[1,2],[2,3],[1],[],[2,1]]
package t

result := [array.concat([1], [2]), array.slice([1, 2, 3], 1, 9), array.slice([1, 2, 3], -1, 1), array.slice([1, 2, 3], 2, 1), array.reverse([1, 2])]
