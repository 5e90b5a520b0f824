# opa: true
package t

result := 3.3 / 1.1 >= 3
