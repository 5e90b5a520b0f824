# input: {"x":null}
# opa: "%!d(string=null)"
package t

result := sprintf("%d", [input.x])
