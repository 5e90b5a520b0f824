# opa: []
package t

result := [y | some s in ["0x10", "abc", "", "1Ki"]; y := to_number(s)]
