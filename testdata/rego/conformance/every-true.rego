# opa: true
package t

result if every x in [1, 2] {
	x > 0
}
