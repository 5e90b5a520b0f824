# input: {}
# opa: undefined
package t

result if not object.get(input.metadata, "name", "") == "x"
