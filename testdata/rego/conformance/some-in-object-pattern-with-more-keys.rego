# opa: [1]
package t

result := [x | some {"k": x} in [{"k": 1}, {"k": 2, "z": 1}]]
