# opa: []
package t

result := [y | y := opa.runtime().env]
