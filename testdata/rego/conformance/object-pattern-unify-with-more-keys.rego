# opa: [1]
package t

result := [x | {"k": x} = [{"k": 1}, {"k": 2, "z": 1}][_]]
