# opa: [10000,10240,1610612736,true]
package t

result := [units.parse_bytes("10K"), units.parse_bytes("10KiB"), units.parse_bytes("1.5Gi"), units.parse_bytes("500Mi") < units.parse_bytes("1Gi")]
