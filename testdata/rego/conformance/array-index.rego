# opa: error: rego_type_error: undefined ref: ["a"][3]
package t

result := [["a", "b"][1], [x | x := ["a"][3]]]
