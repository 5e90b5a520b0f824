# input: {"a":{"z":1}}
# opa: undefined
package t

result if not input.a[input.b] == 1
