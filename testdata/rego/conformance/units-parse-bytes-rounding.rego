# opa: [1100,2,999,-1500]
package t

result := [units.parse_bytes("1.1k"), units.parse_bytes("1.9999999999999999999999"), units.parse_bytes("1e-3M"), units.parse_bytes("-1.5k")]
