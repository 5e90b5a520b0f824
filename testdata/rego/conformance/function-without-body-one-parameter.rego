# opa: [true,[]]
package t

known("x")

result := [known("x"), [1 | known("y")]]
