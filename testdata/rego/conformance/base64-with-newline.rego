# opa: "hello"
package t

result := base64.decode("aGVs\nbG8=")
