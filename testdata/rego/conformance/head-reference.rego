# opa: {"b":{"c":1,"d":2}}
package t

a.b.c := 1

a.b.d := 2

result := a
