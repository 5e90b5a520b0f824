# opa: "a b 3%"
package t

result := sprintf("%s %v %d%%", ["a", "b", 3])
