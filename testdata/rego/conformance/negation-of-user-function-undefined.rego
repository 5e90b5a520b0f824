# opa: true
package t

f(x) := x if x > 5

result if not f(1)
