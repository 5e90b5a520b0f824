# input: {"x":1}
# opa: true
package t

result if not startswith(input.x, "a")
