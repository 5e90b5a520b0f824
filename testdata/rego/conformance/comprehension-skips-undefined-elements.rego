# input: {"items":[{"n":"a"},{"v":2}]}
# opa: [2]
package t

result := [i.v | some i in input.items]
