# opa: true
package t

result {
	x := input with input as 3
	x == 3
}
