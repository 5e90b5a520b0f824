package t

result contains msg if {
	msg := input.items[_]
}

result contains "always"
