# opa: {"a":1,"b":2}
package t

result.a := 1

result.b := 2
