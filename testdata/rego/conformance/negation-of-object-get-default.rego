# input: {}
# opa: true
package t

result if not object.get(input, "kind", "") == "Pod"
