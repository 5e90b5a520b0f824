# input: {"a":null}
# opa: [[1],[],[1]]
package t

result := [[1 | input.a == null], [1 | input.b == null], [1 | not input.b]]
