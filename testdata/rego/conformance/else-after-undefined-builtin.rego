# input: {"x":"abc"}
# opa: 0
package t

result := to_number(input.x) if is_string(input.x)

else := 0
