# opa: []
package t

result := [y | y := to_number(" 1")]
