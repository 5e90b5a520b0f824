# opa: "�"
package t

result := base64.decode("/w==")
