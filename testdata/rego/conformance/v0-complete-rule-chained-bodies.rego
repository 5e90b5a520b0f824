# input: {"b":true}
# opa: true
package t

result {
	input.a
} {
	input.b
}
