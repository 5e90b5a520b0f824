# opa: true
package t

result := regex.match(`^[\w-.]+$`, "a-b.c")
