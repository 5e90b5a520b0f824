# opa: 1
package t

result := strings.count("aaa", "aa")
