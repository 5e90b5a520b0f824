# input: {}
# opa: undefined
package t

result if not is_string(input.name)
