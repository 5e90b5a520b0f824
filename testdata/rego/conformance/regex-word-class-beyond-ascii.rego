# opa: false
package t

result := regex.match(`^\w+$`, "é")
