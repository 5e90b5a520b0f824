# opa: "%!t(string=true)"
package t

result := sprintf("%t", [true])
