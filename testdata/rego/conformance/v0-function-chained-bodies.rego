# opa: [true,true]
package t

f(x) {
	x == 1
} {
	x == 2
}

result = [f(1), f(2)]
