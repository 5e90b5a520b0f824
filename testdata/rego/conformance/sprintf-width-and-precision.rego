# opa: "  3.14|"
package t

result := sprintf("%6.2f|", [3.14159])
