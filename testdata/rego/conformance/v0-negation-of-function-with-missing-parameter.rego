# input: {"rule":"RunAsAny","user":0}
# opa: []
package t

accept("RunAsAny", _, _) = true

accept("MustRunAs", user, ranges) {
	user >= ranges[_].min
}

result[msg] {
	not accept(input.rule, input.user, input.ranges)
	msg := "disallowed user"
}
