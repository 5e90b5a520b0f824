# opa: true
package t

result := 1e400 > 1
