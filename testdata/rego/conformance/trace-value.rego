# opa: true
package t

result := trace("x")
