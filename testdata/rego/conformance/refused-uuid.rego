# opa: 36
package t

result := count(uuid.rfc4122("x"))
