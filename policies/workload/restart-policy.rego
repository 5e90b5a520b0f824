# METADATA
# title: The restart policy fits the kind
# description: |
#   # What it checks
#
#   `restartPolicy` of the pod template is `Always` in what keeps pods running (Deployment,
#   StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Rollout), and one of `jobs` in Jobs and
#   CronJobs. A Pod that nothing controls has one of `pods`.
#
#   The value that the API server would fill in is judged, and that is `Always` for every kind: a Job
#   that says nothing is refused by the API server, and found here first.
#
#   # Why
#
#   The API server refuses what does not fit, but only when the manifest gets there, and then the
#   whole sync stops. A Pod that is never restarted stays down after its first crash.
#
#   # Parameters
#
#   - `jobs`: what Jobs and CronJobs may have. Default: `[OnFailure, Never]`.
#   - `pods`: what single Pods may have. Default: `[Always, OnFailure, Never]`.
#
#   # How to fix
#
#   ```yaml
#   kind: Job
#   spec:
#     template:
#       spec:
#         restartPolicy: OnFailure
#   ```
#
#   # Controls
#
#   - Kubernetes documentation: Pod Lifecycle
#   - Kubernetes documentation: Jobs
# custom:
#   severity: medium
#   scope: object
#   enforcement: "off"
#   matches: [Workload]
#   help: set restartPolicy to what the kind needs
#   parameters:
#     jobs:
#       type: array
#       items: {enum: [OnFailure, Never]}
#       minItems: 1
#       default: [OnFailure, Never]
#       description: the restart policies that Jobs and CronJobs may have
#     pods:
#       type: array
#       items: {enum: [Always, OnFailure, Never]}
#       minItems: 1
#       default: [Always, OnFailure, Never]
#       description: the restart policies that single Pods may have
package stagegate.restart_policy

import data.stagegate.lib.workload

violation contains {"msg": msg, "pointer": pointer} if {
	policy := _policy(workload.spec(input.review))
	kind := input.review.kind.kind
	fitting := _fitting(kind)
	not policy in fitting
	not _is_controlled_pod
	msg := sprintf("restartPolicy %v does not fit a %s, which needs %s", [policy, kind, concat(" or ", fitting)])
	pointer := concat("/", [workload.pointer(input.review), "restartPolicy"])
}

# Source: SetDefaults_PodSpec in pkg/apis/core/v1/defaults.go, which all templates go through.
_policy(pod) := pod.restartPolicy if {
	workload.is_set(pod.restartPolicy)
} else := "Always"

_fitting(kind) := input.parameters.jobs if {
	kind in {"Job", "CronJob"}
} else := input.parameters.pods if {
	kind == "Pod"
} else := ["Always"]

# What controls a pod is judged itself.
_is_controlled_pod if {
	input.review.kind.kind == "Pod"
	some i
	input.review.object.metadata.ownerReferences[i].controller == true
}
