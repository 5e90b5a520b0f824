# opa: []
package t

result := [y | y := regex.match(`(a{100}){100}`, "a")]
