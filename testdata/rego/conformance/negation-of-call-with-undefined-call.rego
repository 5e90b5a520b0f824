# opa: undefined
package t

f(x) := x if x > 5

g(x) if x > 0

result if not g(f(1))
