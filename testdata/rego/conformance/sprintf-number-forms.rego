# input: {"f":1.50,"e":1e3,"i":1.0,"b":12345678901234567890}
# opa: "1.5 1e3 1 12345678901234567890"
package t

result := sprintf("%v %v %v %v", [input.f, input.e, input.i, input.b])
