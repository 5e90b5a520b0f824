# opa: error: eval_conflict_error: functions must not produce multiple outputs for same inputs
package t

f(x) = y {
	y := x
} {
	y := x + 1
}

result = f(1)
