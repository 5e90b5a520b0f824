# opa: ["big","mid","small"]
package t

size(n) := "big" if n > 10

else := "mid" if n > 5

else := "small"

result := [size(11), size(6), size(1)]
