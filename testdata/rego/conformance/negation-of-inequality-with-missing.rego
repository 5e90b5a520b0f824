# input: {}
# opa: undefined
package t

result if not input.kind != "Pod"
