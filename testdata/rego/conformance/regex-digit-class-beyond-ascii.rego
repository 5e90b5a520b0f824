# opa: false
package t

result := regex.match(`^\d$`, "٣")
