# opa: false
package t

result := glob.match("**/nginx", ["/"], "nginx")
