# opa: [0,2]
package t

default f(_) := 0

f(x) := x if x > 1

result := [f(1), f(2)]
