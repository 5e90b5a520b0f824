# opa: []
package t

result := [y | y := http.send({})]
