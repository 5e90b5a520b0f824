# opa: "%!d(string=3)"
package t

result := sprintf("%d", ["3"])
