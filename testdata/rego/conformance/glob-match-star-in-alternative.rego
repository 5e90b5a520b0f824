# opa: false
package t

result := glob.match("{a*,b}/*", ["/"], "ax/1")
