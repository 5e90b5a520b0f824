# input: {}
# opa: undefined
package t

result if every x in input.missing {
	x > 0
}
