# opa: [2,3.5,6,"a",2,[],0]
package t

result := [count({1, 2}), sum([1, 2.5]), product([2, 3]), max([1, "a"]), min({3, 2}), [x | x := max([])], sum([])]
