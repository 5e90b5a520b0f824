# input: {}
# opa: undefined
package t

result if not startswith(input.image, "x") with input.other as 1
