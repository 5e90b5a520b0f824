package stagegate.priority_class_test

import data.stagegate.priority_class

found(class, allow, namespace) := violations if {
	review := {
		"kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
		"namespace": namespace,
		"object": {"spec": {"template": {"spec": {"priorityClassName": class}}}},
	}
	parameters := {"allow": allow, "systemNamespaces": ["kube-system"]}
	violations := priority_class.violation with input as {"review": review, "parameters": parameters}
}

messages(class, allow, namespace) := {violation.msg | some violation in found(class, allow, namespace)}

test_any_class_will_do_without_a_list if count(found("gold", [], "shop")) == 0

test_listed_classes_pass if count(found("gold", ["gold"], "shop")) == 0

test_no_class if {
	every class in [null, ""] {
		found(class, ["gold"], "shop") == {{
			"msg": "no priorityClassName is set",
			"pointer": "/spec/template/spec/priorityClassName",
		}}
	}
	review := {"kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "shop", "object": {"spec": {}}}
	violations := priority_class.violation with input as {"review": review, "parameters": {"allow": [], "systemNamespaces": []}}
	{violation.pointer | some violation in violations} == {"/spec/priorityClassName"}
}

test_unlisted_classes if {
	messages("best", ["gold", "silver"], "shop") == {`priority class "best" is not allowed here, only gold, silver`}
}

test_system_classes if {
	count(found("system-node-critical", ["gold"], "kube-system")) == 0
	count(found("system-node-critical", ["system-node-critical"], "shop")) == 0
	messages("system-node-critical", [], "shop") == {`priority class "system-node-critical" is only for kube-system`}
}

test_system_classes_for_nobody if {
	review := {
		"kind": {"group": "", "version": "v1", "kind": "Pod"},
		"namespace": "kube-system",
		"object": {"spec": {"priorityClassName": "system-node-critical"}},
	}
	violations := priority_class.violation with input as {"review": review, "parameters": {"allow": [], "systemNamespaces": []}}
	{violation.msg | some violation in violations} == {`priority class "system-node-critical" is only for nobody`}
}

test_garbage_is_no_error if {
	messages(5, [], "shop") == {"priorityClassName 5 is not a name"}
	count(found(["gold"], ["gold"], "shop")) == 1
	review := {"kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "", "object": {"spec": "x"}}
	violations := priority_class.violation with input as {"review": review, "parameters": {"allow": [], "systemNamespaces": []}}
	count(violations) == 1
}
