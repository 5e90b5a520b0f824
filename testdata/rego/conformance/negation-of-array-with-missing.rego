# input: {}
# opa: undefined
package t

result if not [input.missing] == [1]
