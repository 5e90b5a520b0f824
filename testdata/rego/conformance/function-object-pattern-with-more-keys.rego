# input: {"x":{"a":1,"b":2}}
# opa: undefined
package t

f({"a": x}) := x

result := f(input.x)
