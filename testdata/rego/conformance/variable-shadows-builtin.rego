# opa: 1
package t

result := count if count := 1
