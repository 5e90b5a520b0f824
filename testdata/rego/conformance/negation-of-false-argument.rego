# input: {"flag":false}
# opa: true
package t

f(x) := x

result if not f(input.flag)
