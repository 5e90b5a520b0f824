# METADATA
# title: Finished Jobs are cleaned up
# description: |
#   # What it checks
#
#   A Job sets `ttlSecondsAfterFinished`, to no more than `maximum` where that is set. These count as
#   cleaned up without it:
#
#   - hooks of Argo CD and Helm: they are deleted as their delete policy says, and before they are
#     created again where they have none. A hook with `generateName` never has the same name again, so
#     it needs `HookSucceeded` or `HookFailed` as its delete policy.
#   - Jobs that something controls, such as those that a CronJob made.
#
#   The Jobs of a CronJob are cleaned up by `successfulJobsHistoryLimit` and `failedJobsHistoryLimit`,
#   which are 3 and 1 where they are not set. A `ttlSecondsAfterFinished` in its `jobTemplate` deletes
#   what these keep, such as the one failed Job that somebody should look at, and is therefore a
#   finding, unless `cronJobs` is `true`.
#
#   # Why
#
#   A finished Job stays in the cluster with its pods until somebody deletes it. Thousands of them make
#   the API server and its clients slow, and fill quotas of objects.
#
#   # Parameters
#
#   - `maximum`: how many seconds a finished Job may stay; `0` is any number. Default: `0`.
#   - `cronJobs`: `true` lets the Jobs of a CronJob have a `ttlSecondsAfterFinished` within `maximum`.
#     Default: `false`.
#
#   # How to fix
#
#   ```yaml
#   kind: Job
#   spec:
#     ttlSecondsAfterFinished: 86400
#   ```
#
#   In a repository that Argo CD syncs make the Job a hook instead. A Job that deletes itself is missing
#   from the cluster, and Argo CD creates it again and so runs it again:
#
#   ```yaml
#   metadata:
#     annotations:
#       argocd.argoproj.io/hook: Sync
#       argocd.argoproj.io/hook-delete-policy: BeforeHookCreation
#   ```
#
#   # Controls
#
#   - Kubernetes documentation: Automatic Cleanup for Finished Jobs
# custom:
#   severity: low
#   scope: object
#   enforcement: "off"
#   matches: ["batch/*/Job", "batch/*/CronJob"]
#   help: set ttlSecondsAfterFinished in a Job, and history limits in a CronJob
#   parameters:
#     maximum:
#       type: integer
#       minimum: 0
#       default: 0
#       description: how many seconds a finished Job may stay; 0 is any number
#     cronJobs:
#       type: boolean
#       default: false
#       description: lets the Jobs of a CronJob have ttlSecondsAfterFinished
package stagegate.job_ttl

violation contains {"msg": msg, "pointer": "/spec/ttlSecondsAfterFinished"} if {
	input.review.kind.kind == "Job"
	msg := _wrong(_ttl(input.review.object.spec))
	not _is_cleaned_up
}

violation contains {
	"msg": msg,
	"pointer": "/spec/jobTemplate/spec/ttlSecondsAfterFinished",
	"help": "remove ttlSecondsAfterFinished and set successfulJobsHistoryLimit and failedJobsHistoryLimit",
} if {
	input.review.kind.kind == "CronJob"
	input.parameters.cronJobs == false
	ttl := _ttl(input.review.object.spec.jobTemplate.spec)
	ttl != null
	msg := sprintf("ttlSecondsAfterFinished %v deletes Jobs that the history limits of the CronJob keep", [ttl])
}

violation contains {"msg": msg, "pointer": "/spec/jobTemplate/spec/ttlSecondsAfterFinished"} if {
	input.review.kind.kind == "CronJob"
	input.parameters.cronJobs == true
	ttl := _ttl(input.review.object.spec.jobTemplate.spec)
	ttl != null
	msg := _wrong(ttl)
}

# Null where none is written.
_ttl(spec) := ttl if {
	ttl := spec.ttlSecondsAfterFinished
} else := null

_wrong(ttl) := "a finished Job stays for ever: ttlSecondsAfterFinished is not set" if {
	ttl == null
} else := sprintf("ttlSecondsAfterFinished %v is not a number of seconds", [ttl]) if {
	not is_number(ttl)
} else := sprintf("ttlSecondsAfterFinished %v is not a number of seconds", [ttl]) if {
	ttl < 0
} else := sprintf("ttlSecondsAfterFinished %v is more than the allowed %v", [ttl, input.parameters.maximum]) if {
	input.parameters.maximum > 0
	ttl > input.parameters.maximum
}

_is_cleaned_up if {
	_ttl(input.review.object.spec) == null
	some annotation in ["argocd.argoproj.io/hook", "helm.sh/hook"]
	input.review.object.metadata.annotations[annotation]
	_is_hook_cleaned_up
} else if {
	some i
	input.review.object.metadata.ownerReferences[i].controller == true
}

# The default is to delete the hook before it is created again, by its name.
_is_hook_cleaned_up if {
	not input.review.object.metadata.generateName
} else if {
	some annotation in ["argocd.argoproj.io/hook-delete-policy", "helm.sh/hook-delete-policy"]
	policies := input.review.object.metadata.annotations[annotation]
	is_string(policies)
	some policy in ["HookSucceeded", "HookFailed", "hook-succeeded", "hook-failed"]
	contains(policies, policy)
}
