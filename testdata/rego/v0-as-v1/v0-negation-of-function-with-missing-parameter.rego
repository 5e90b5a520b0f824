package t

accept("RunAsAny", _, _) := true

accept("MustRunAs", user, ranges) if {
	user >= ranges[_].min
}

result contains msg if {
	not accept(input.rule, input.user, input.ranges)
	msg := "disallowed user"
}
