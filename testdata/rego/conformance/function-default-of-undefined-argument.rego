# input: {}
# opa: undefined
package t

default f(_) := 0

f(x) := x

result := f(input.missing)
