# opa: [true]
package t

result := [y | y := regex.match(`^[a-z--b]+$`, "b")]
