# opa: [true,true,true,true]
package t

result := [regex.match(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, "a-b"), regex.match("b", "abc"), regex.match(`^\d+$`, "12"), regex.match(`(?i)^ABC$`, "abc")]
