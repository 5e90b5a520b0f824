# opa: true
package t

result := glob.match("?", [], "é")
