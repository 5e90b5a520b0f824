# opa: error: rego_recursion_error: rule data.t.f is recursive: data.t.f -> data.t.f
package t

f(0) := 1

f(x) := x * f(x - 1) if x > 0

result := f(3)
