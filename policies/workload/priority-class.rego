# METADATA
# title: Pods have a priority class that the stage allows
# description: |
#   # What it checks
#
#   Every workload names a `priorityClassName`, and one of `allow` where that list is not empty. The
#   classes of Kubernetes itself, `system-cluster-critical` and `system-node-critical`, are for the
#   namespaces in `systemNamespaces`, and for others only if `allow` names them.
#
#   # Why
#
#   When a node is full, the scheduler ends pods of lower priority for those of higher. Without a class
#   all are equal, and a batch job may push the database out. A workload of staging with the class of
#   production pushes production out.
#
#   # Parameters
#
#   - `allow`: the classes that may be used; empty lets any be used. Best set for each stage. Default:
#     `[]`.
#   - `systemNamespaces`: the namespaces whose pods may have a `system-` class. Default: `[kube-system]`.
#
#   # How to fix
#
#   ```yaml
#   spec:
#     template:
#       spec:
#         priorityClassName: production
#   ```
#
#   # Controls
#
#   - Kubernetes documentation: Pod Priority and Preemption
# custom:
#   severity: medium
#   scope: object
#   enforcement: "off"
#   matches: [Workload]
#   help: set priorityClassName to a class that the stage allows
#   parameters:
#     allow:
#       type: array
#       items: {type: string, minLength: 1}
#       default: []
#       description: the priority classes that may be used; empty for any
#     systemNamespaces:
#       type: array
#       items: {type: string, minLength: 1}
#       default: [kube-system]
#       description: the namespaces whose pods may have a system- class
package stagegate.priority_class

import data.stagegate.lib.workload

violation contains {"msg": msg, "pointer": pointer} if {
	msg := _wrong(_class(workload.spec(input.review)))
	pointer := concat("/", [workload.pointer(input.review), "priorityClassName"])
}

_class(pod) := pod.priorityClassName if {
	workload.is_set(pod.priorityClassName)
} else := ""

_wrong(class) := "no priorityClassName is set" if {
	class == ""
} else := sprintf("priorityClassName %v is not a name", [class]) if {
	not is_string(class)
} else := sprintf(`priority class "%s" is only for %s`, [class, _list(input.parameters.systemNamespaces)]) if {
	startswith(class, "system-")
	not input.review.namespace in input.parameters.systemNamespaces
	not class in input.parameters.allow
} else := sprintf(`priority class "%s" is not allowed here, only %s`, [class, _list(input.parameters.allow)]) if {
	not startswith(class, "system-")
	count(input.parameters.allow) > 0
	not class in input.parameters.allow
}

_list(names) := concat(", ", names) if {
	count(names) > 0
} else := "nobody"
