# opa: [10000,10240,1500000000,true,1]
package t

result := [units.parse("10K"), units.parse("10Ki"), units.parse("1.5G"), units.parse("100m") == 0.1, units.parse("1")]
