# opa: 1
package t

result := 1 if true

result := 1 if true
