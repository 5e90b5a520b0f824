# opa: true
package t

result := 0.1 + 0.2 == 0.3
