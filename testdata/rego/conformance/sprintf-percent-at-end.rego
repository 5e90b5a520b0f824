# opa: "100%!(NOVERB)"
package t

result := sprintf("100%", [])
