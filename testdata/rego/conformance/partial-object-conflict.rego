# opa: error: eval_conflict_error: object keys must be unique
package t

result[k] := v if {
	some k in ["a"]
	some v in [1, 2]
}
