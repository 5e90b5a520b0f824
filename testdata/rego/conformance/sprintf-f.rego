# opa: "3.500000"
package t

result := sprintf("%f", [3.5])
