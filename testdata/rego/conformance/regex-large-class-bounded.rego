# opa: false
package t

result := regex.match(`^[a-zA-Z0-9_.-]{1,255}@sha256:[a-f0-9]{64}$`, "a")
