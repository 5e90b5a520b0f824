# input: {}
# opa: [{"b":1},[1]]
package t

p["a"] := input.a if true

p["b"] := 1 if true

q contains input.a if true

q contains 1 if true

result := [p, q]
