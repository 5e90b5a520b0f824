# opa: error: eval_conflict_error: functions must not produce multiple outputs for same inputs
package t

f(x) := 1 if x > 0

f(x) := 2 if x > 1

result := f(2)
