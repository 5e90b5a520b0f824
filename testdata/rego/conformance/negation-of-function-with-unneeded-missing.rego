# input: {"rule":"any"}
# opa: undefined
package t

accept("any", _) := true

accept("range", limit) if limit > 1

result if not accept(input.rule, input.limit)
