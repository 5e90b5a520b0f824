# opa: "%!s(int64=3)"
package t

result := sprintf("%s", [3])
