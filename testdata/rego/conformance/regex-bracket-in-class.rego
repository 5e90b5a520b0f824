# opa: true
package t

result := regex.match(`^[[a]+$`, "[a")
