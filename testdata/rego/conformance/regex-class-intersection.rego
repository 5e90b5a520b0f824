# opa: true
package t

result := regex.match(`^[a-z&&x]+$`, "b")
