# opa: true
package t

result := rand.intn("a", 10) < 10
