# opa: error: rego_recursion_error: rule data.t.p is recursive: data.t.p -> data.t.q -> data.t.p
package t

p if q

q if p

result := p
