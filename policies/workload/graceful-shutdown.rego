# METADATA
# title: Pods get time to shut down
# description: |
#   # What it checks
#
#   `terminationGracePeriodSeconds` is more than 0, and no more than `maximum`. The value that the API
#   server would fill in is judged: where none is written, it is 30.
#
#   With `preStop: true` every container that declares ports has a preStop hook, native sidecars with
#   them. Pods that are to end by themselves are not asked: those of Jobs and CronJobs, and those that
#   are not always restarted.
#
#   # Why
#
#   With a grace period of 0 a process is killed while it answers requests and writes files. With one
#   of an hour the drain of a node waits for an hour. And a pod still gets requests for a moment after
#   it was told to stop, until every node knows: a hook that sleeps for some seconds keeps these from
#   failing.
#
#   # Parameters
#
#   - `maximum`: how many seconds the grace period may last; `0` is any number. Default: `300`.
#   - `preStop`: `true` demands a preStop hook of containers with ports. Default: `false`.
#
#   # How to fix
#
#   ```yaml
#   spec:
#     terminationGracePeriodSeconds: 45
#     containers:
#       - name: api
#         lifecycle:
#           preStop:
#             sleep: {seconds: 5}
#   ```
#
#   # Controls
#
#   - Kubernetes documentation: Pod Lifecycle
#   - Kubernetes documentation: Container Lifecycle Hooks
# custom:
#   severity: medium
#   scope: object
#   enforcement: "off"
#   matches: [Workload]
#   help: set terminationGracePeriodSeconds to the time that the workload needs to shut down
#   parameters:
#     maximum:
#       type: integer
#       minimum: 0
#       default: 300
#       description: how many seconds the grace period may last; 0 is any number
#     preStop:
#       type: boolean
#       default: false
#       description: demands a preStop hook of containers with ports
package stagegate.graceful_shutdown

import data.stagegate.lib.workload

violation contains {"msg": msg, "pointer": pointer} if {
	msg := _wrong(_seconds(workload.spec(input.review)))
	pointer := concat("/", [workload.pointer(input.review), "terminationGracePeriodSeconds"])
}

violation contains {
	"msg": msg,
	"pointer": pointer,
	"help": "add a preStop hook that waits until no more requests come, such as `sleep: {seconds: 5}`",
} if {
	input.parameters.preStop == true
	pod := workload.spec(input.review)
	_keeps_running(pod)
	some [list, i, container] in workload.containers(pod)
	container.ports[0]
	workload.type(list, container) in {"container", "sidecar"}
	not _has_hook(container)
	msg := sprintf(`container "%s" has ports and no preStop hook`, [workload.name(container)])
	pointer := workload.at(input.review, list, i, "lifecycle/preStop")
}

# Source: SetDefaults_PodSpec in pkg/apis/core/v1/defaults.go.
_seconds(pod) := seconds if {
	seconds := pod.terminationGracePeriodSeconds
	seconds != null
} else := 30

_wrong(seconds) := sprintf("terminationGracePeriodSeconds %v is not a number", [seconds]) if {
	not is_number(seconds)
} else := sprintf("terminationGracePeriodSeconds %v kills the containers at once", [seconds]) if {
	seconds <= 0
} else := sprintf("terminationGracePeriodSeconds %v is more than the allowed %v", [seconds, maximum]) if {
	maximum := input.parameters.maximum
	maximum > 0
	seconds > maximum
}

# Whether the pods are not to end by themselves.
_keeps_running(pod) if {
	not input.review.kind.kind in {"Job", "CronJob"}
	not _ends(pod)
}

_ends(pod) if pod.restartPolicy in {"OnFailure", "Never"}

_has_hook(container) if {
	some handler in ["exec", "sleep", "httpGet", "tcpSocket"]
	container.lifecycle.preStop[handler]
}
