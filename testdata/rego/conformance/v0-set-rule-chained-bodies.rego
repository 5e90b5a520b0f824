# opa: [1,2]
package t

result[x] {
	x := 1
} {
	x := 2
}
