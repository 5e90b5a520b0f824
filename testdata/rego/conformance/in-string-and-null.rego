# input: {"s":"abc","n":null}
# opa: [false,false]
package t

result := ["a" in input.s, "a" in input.n]
