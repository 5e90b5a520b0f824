# opa: true
package t

f("a", _)

result := f("a", 2)
