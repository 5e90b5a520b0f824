package main

# Rego v0, as conftest's older policies are written.

deny_owner[msg] {
	is_workload
	not input.metadata.annotations.owner
	msg := sprintf("%s %s has no annotation owner", [input.kind, input.metadata.name])
}

warn[msg] {
	is_workload
	count(input.metadata.name) > 10
	msg := "the name is long"
}

is_workload { input.kind == "Deployment" } { input.kind == "StatefulSet" }

exception[rules] {
	input.metadata.name == "legacy"
	rules := ["owner"]
}
