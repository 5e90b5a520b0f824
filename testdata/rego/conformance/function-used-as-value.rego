# opa: error: rego_type_error: function data.t.f used as reference, not called
package t

f(x) := x

result := f
