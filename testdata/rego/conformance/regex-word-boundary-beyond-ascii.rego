# opa: true
package t

result := regex.match(`\bb`, "éb")
