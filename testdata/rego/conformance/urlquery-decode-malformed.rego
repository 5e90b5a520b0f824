# opa: []
package t

result := [y | y := urlquery.decode("%zz")]
