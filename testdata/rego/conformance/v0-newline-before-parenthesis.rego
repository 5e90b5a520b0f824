# input: {"spec":{"max":5},"min":1}
# opa: true
package t

result {
	x := input.spec.max
	(x - input.min) > 1
}
