# input: {"x":"abc"}
# opa: undefined
package t

result if not to_number(input.x) > 1
