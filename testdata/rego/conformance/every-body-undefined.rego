# input: {"c":[{"a":1},{}]}
# opa: undefined
package t

result if every c in input.c {
	c.a == 1
}
