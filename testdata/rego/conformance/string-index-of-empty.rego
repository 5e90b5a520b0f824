# opa: []
package t

result := [y | y := indexof("abc", "")]
