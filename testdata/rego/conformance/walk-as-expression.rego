# input: {"a":1}
# opa: [{"a":1},1]
package t

result := [v | [_, v] := walk(input)]
