# opa: [false,true]
package t

f(x) := x > 1

result := [f(1), f(2)]
