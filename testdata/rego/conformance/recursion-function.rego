# opa: error: rego_recursion_error: rule data.t.f is recursive: data.t.f -> data.t.f
package t

f(x) := f(x)

result := f(1)
