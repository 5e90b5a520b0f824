# opa: "b a"
package t

result := sprintf("%[2]s %[1]s", ["a", "b"])
