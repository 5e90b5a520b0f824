# opa: 4
package t

result := strings.count("abc", "")
