# opa: []
package t

result := [y | y := regex.match("(?=a)a", "a")]
