# opa: ["3.14","%!f(int64=2)"]
package t

result := [sprintf("%.2f", [3.14159]), sprintf("%.1f", [2])]
