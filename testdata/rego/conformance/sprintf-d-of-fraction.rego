# opa: "%!d(float64=3.5)"
package t

result := sprintf("%d", [3.5])
