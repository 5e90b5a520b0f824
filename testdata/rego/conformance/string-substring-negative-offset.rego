# opa: []
package t

result := [y | y := substring("abc", -1, 1)]
