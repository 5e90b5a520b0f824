# input: {}
# opa: true
package t

result if {
	print("x", input.missing)
	true
}
