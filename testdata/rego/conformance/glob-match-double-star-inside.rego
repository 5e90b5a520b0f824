# opa: true
package t

result := glob.match("a**b", ["/"], "a/x/b")
