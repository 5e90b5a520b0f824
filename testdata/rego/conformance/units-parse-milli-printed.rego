# opa: 0.1000000000
package t

result := units.parse("100m")
