# opa: 1
package t

result := units.parse_bytes("1.5")
