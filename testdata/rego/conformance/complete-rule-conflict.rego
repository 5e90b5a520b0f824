# opa: error: eval_conflict_error: complete rules must not produce multiple outputs
package t

result := 1 if true

result := 2 if true
