# opa: [1]
package t

result := [x | [x, "a"] = [[1, "a"], [2, "b"], ["a"], "a", null][_]]
