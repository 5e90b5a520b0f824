# input: {}
# opa: [3,4,1]
package t

default r := 3

r := input.a if true

default f(_) := 4

f(x) := x.a if true

result := [r, f({}), f({"a": 1})]
