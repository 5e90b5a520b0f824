package stagegate.restart_policy_test

import data.stagegate.restart_policy

defaults := {"jobs": ["OnFailure", "Never"], "pods": ["Always", "OnFailure", "Never"]}

groups := {"Pod": "", "ReplicationController": "", "Job": "batch", "CronJob": "batch", "Rollout": "argoproj.io"}

found(kind, pod, parameters) := violations if {
	template := {"template": {"spec": pod}}
	specs := {"Pod": pod, "CronJob": {"jobTemplate": {"spec": template}}}
	review := {
		"kind": {"group": object.get(groups, kind, "apps"), "version": "v1", "kind": kind},
		"object": {"spec": object.get(specs, kind, template)},
	}
	violations := restart_policy.violation with input as {"review": review, "parameters": object.union(defaults, parameters)}
}

long_running := ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Rollout"]

test_long_running_kinds_restart_always if {
	every kind in long_running {
		count(found(kind, {}, {})) == 0
		count(found(kind, {"restartPolicy": "Always"}, {})) == 0
		count(found(kind, {"restartPolicy": null}, {})) == 0
		count(found(kind, {"restartPolicy": "Never"}, {})) == 1
		count(found(kind, {"restartPolicy": "OnFailure"}, {})) == 1
	}
}

test_jobs_do_not if {
	every kind in ["Job", "CronJob"] {
		count(found(kind, {}, {})) == 1
		count(found(kind, {"restartPolicy": ""}, {})) == 1
		count(found(kind, {"restartPolicy": "Never"}, {})) == 0
		count(found(kind, {"restartPolicy": "Never"}, {"jobs": ["OnFailure"]})) == 1
	}
}

test_pods_as_configured if {
	count(found("Pod", {"restartPolicy": "Never"}, {})) == 0
	count(found("Pod", {"restartPolicy": "Never"}, {"pods": ["Always"]})) == 1
	count(found("Pod", {}, {"pods": ["Always"]})) == 0
}

test_controlled_pods_pass if {
	review := {
		"kind": {"group": "", "version": "v1", "kind": "Pod"},
		"object": {
			"metadata": {"ownerReferences": [{"kind": "Job", "name": "a", "controller": true}]},
			"spec": {"restartPolicy": "Never"},
		},
	}
	count(restart_policy.violation) == 0 with input as {"review": review, "parameters": {"jobs": [], "pods": ["Always"]}}
}

test_says_what_and_where if {
	found("CronJob", {}, {}) == {{
		"msg": "restartPolicy Always does not fit a CronJob, which needs OnFailure or Never",
		"pointer": "/spec/jobTemplate/spec/template/spec/restartPolicy",
	}}
	found("Deployment", {"restartPolicy": "Never"}, {}) == {{
		"msg": "restartPolicy Never does not fit a Deployment, which needs Always",
		"pointer": "/spec/template/spec/restartPolicy",
	}}
}

test_garbage_is_no_error if {
	count(found("Deployment", null, {})) == 0
	count(found("Deployment", "x", {})) == 0
	count(found("Deployment", {"restartPolicy": 5}, {})) == 1
	count(found("Job", {"restartPolicy": ["Never"]}, {})) == 1
}

test_a_rollout_without_template_passes if {
	review := {
		"kind": {"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout"},
		"object": {"spec": {"workloadRef": {"kind": "Deployment", "name": "a"}}},
	}
	count(restart_policy.violation) == 0 with input as {"review": review, "parameters": defaults}
}
