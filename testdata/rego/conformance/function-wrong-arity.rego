# opa: error: rego_type_error: function data.t.f has arity 1, got 2 arguments
package t

f(x) := x

result := f(1, 2)
