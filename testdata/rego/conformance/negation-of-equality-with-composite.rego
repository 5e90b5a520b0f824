# input: {}
# opa: undefined
package t

result if not input.kinds == [input.kind]
