# opa: false
package t

result := glob.match("a:*", [":"], "a:b:c")
