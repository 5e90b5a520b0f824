# opa: []
package t

result := [y | y := regex.match("^x*+$", "x")]
