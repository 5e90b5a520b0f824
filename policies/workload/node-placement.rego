# METADATA
# title: Workloads run on the node pool that is meant for them
# description: |
#   # What it checks
#
#   Each of `rules` says which workloads it is for (`match`) and where their pods belong. All that
#   `match` holds must be true of a workload:
#
#   - `labels`: the pods have all of these labels
#   - `kinds`: the workload is of one of these kinds
#   - `resource`: a container or init container asks for some of this resource, such as
#     `nvidia.com/gpu`, as a request or a limit
#
#   The pods of such a workload must then
#
#   - select nodes with every label in `nodeSelector`, by their own `nodeSelector` or by node affinity
#     that is required at scheduling, in each of its terms, with the operator `In`. Where the rule
#     gives a list of values, each of them will do.
#   - tolerate every taint in `taints`, as Kubernetes does: a toleration without effect is for all
#     effects, one with the operator `Exists` for all values, and without a key for all taints.
#
#   As long as `rules` is empty, every workload is a finding that says so.
#
#   # Why
#
#   The scheduler takes any node that fits. Training that lands beside the shop slows the shop down;
#   a pod that asks for a GPU and does not tolerate the taint of the GPU nodes never starts.
#
#   # Parameters
#
#   - `rules`: which workloads belong on which nodes. Default: `[]`.
#
#   ```yaml
#   rules:
#     - match: {resource: nvidia.com/gpu}
#       nodeSelector: {pool: [gpu-a100, gpu-l4]}
#       taints: [{key: nvidia.com/gpu, value: present, effect: NoSchedule}]
#     - match: {kinds: [StatefulSet], labels: {component: database}}
#       nodeSelector: {pool: storage}
#   ```
#
#   # How to fix
#
#   ```yaml
#   spec:
#     nodeSelector: {pool: gpu-l4}
#     tolerations:
#       - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
#   ```
#
#   # Controls
#
#   - Kubernetes documentation: Assigning Pods to Nodes
#   - Kubernetes documentation: Taints and Tolerations
# custom:
#   severity: medium
#   scope: object
#   enforcement: "off"
#   matches: [Workload]
#   help: select the node pool by nodeSelector or required node affinity, and tolerate its taints
#   parameters:
#     rules:
#       type: array
#       items:
#         type: object
#         additionalProperties: false
#         required: [match]
#         properties:
#           match:
#             type: object
#             additionalProperties: false
#             minProperties: 1
#             properties:
#               labels: {type: object, minProperties: 1, additionalProperties: {type: string}}
#               kinds: {type: array, minItems: 1, items: {type: string, minLength: 1}}
#               resource: {type: string, minLength: 1}
#           nodeSelector:
#             type: object
#             minProperties: 1
#             additionalProperties:
#               anyOf:
#                 - {type: string}
#                 - {type: array, minItems: 1, items: {type: string}}
#           taints:
#             type: array
#             minItems: 1
#             items:
#               type: object
#               additionalProperties: false
#               required: [key, effect]
#               properties:
#                 key: {type: string, minLength: 1}
#                 value: {type: string}
#                 effect: {enum: [NoSchedule, PreferNoSchedule, NoExecute]}
#         anyOf:
#           - {required: [nodeSelector]}
#           - {required: [taints]}
#       default: []
#       description: which workloads belong on which nodes
package stagegate.node_placement

import data.stagegate.lib.workload

violation contains {"msg": msg, "pointer": pointer} if {
	some rule in input.parameters.rules
	pod := workload.spec(input.review)
	_matches(rule.match, pod)
	some key
	values := _values(rule.nodeSelector[key])
	not _selects(pod, key, values)
	msg := sprintf(
		"pods must run on nodes with %s=%s, which neither nodeSelector nor required node affinity demands",
		[key, concat(" or ", values)],
	)
	pointer := concat("/", [workload.pointer(input.review), "nodeSelector"])
}

violation contains {"msg": msg, "pointer": pointer} if {
	some rule in input.parameters.rules
	some i
	taint := rule.taints[i]
	pod := workload.spec(input.review)
	_matches(rule.match, pod)
	not _tolerates(pod, taint)
	msg := sprintf("pods must tolerate the taint %s:%s", [_key_and_value(taint), taint.effect])
	pointer := concat("/", [workload.pointer(input.review), "tolerations"])
}

violation contains {"msg": msg, "pointer": pointer} if {
	count(input.parameters.rules) == 0
	workload.spec(input.review)
	msg := "nothing says where pods belong, because the parameter \"rules\" is empty"
	pointer := workload.pointer(input.review)
}

_matches(match, pod) if {
	_kind_matches(match)
	_labels_match(match)
	_resource_matches(match, pod)
}

_kind_matches(match) if {
	not match.kinds
} else if {
	input.review.kind.kind in match.kinds
}

_labels_match(match) if {
	not match.labels
} else if {
	labels := workload.labels(input.review)
	every key, value in match.labels {
		labels[key] == value
	}
}

_resource_matches(match, pod) if {
	not match.resource
} else if {
	some amount in workload.resource_amounts(pod, match.resource)
	not amount in {0, "0", null}
}

_values(wanted) := wanted if {
	is_array(wanted)
} else := [wanted]

_selects(pod, key, values) if {
	pod.nodeSelector[key] in values
} else if {
	terms := pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms
	is_array(terms)
	count(terms) > 0
	every term in terms {
		_term_selects(term, key, values)
	}
}

_term_selects(term, key, values) if {
	some i
	expression := term.matchExpressions[i]
	expression.key == key
	expression.operator == "In"
	is_array(expression.values)
	count(expression.values) > 0
	every value in expression.values {
		value in values
	}
}

_key_and_value(taint) := concat("=", [taint.key, taint.value]) if {
	taint.value != ""
} else := taint.key

# Source: ToleratesTaint in staging/src/k8s.io/api/core/v1/toleration.go.
_tolerates(pod, taint) if {
	some i
	toleration := pod.tolerations[i]
	is_object(toleration)
	object.get(toleration, "effect", "") in {"", null, taint.effect}
	object.get(toleration, "key", "") in {"", null, taint.key}
	_value_fits(toleration, taint)
}

_value_fits(toleration, taint) if {
	toleration.operator == "Exists"
} else if {
	object.get(toleration, "operator", "") in {"", null, "Equal"}
	toleration.key == taint.key
	object.get(toleration, "value", "") == object.get(taint, "value", "")
}
