# opa: ["big","small","none"]
package t

f(x) = "big" {
	x > 10
} else = "small" {
	x > 1
} else = "none"

result = [f(11), f(2), f(0)]
