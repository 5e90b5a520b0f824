package stagegate.graceful_shutdown_test

import data.stagegate.graceful_shutdown

found(kind, pod, parameters) := violations if {
	groups := {"Pod": "", "Job": "batch"}
	specs := {"Pod": pod}
	violations := graceful_shutdown.violation with input as {
		"review": {
			"kind": {"group": object.get(groups, kind, "apps"), "version": "v1", "kind": kind},
			"object": {"spec": object.get(specs, kind, {"template": {"spec": pod}})},
		},
		"parameters": object.union({"maximum": 300, "preStop": false}, parameters),
	}
}

messages(pod, parameters) := {violation.msg | some violation in found("Deployment", pod, parameters)}

serving(more) := object.union({"name": "c", "ports": [{"containerPort": 80}]}, more)

pre_stop(hook) := {"containers": [serving({"lifecycle": {"preStop": hook}})]}

test_within_bounds if {
	every seconds in [null, 1, 30, 300] {
		count(found("Deployment", {"terminationGracePeriodSeconds": seconds}, {})) == 0
	}
	count(found("Deployment", {}, {})) == 0
	count(found("Deployment", {"terminationGracePeriodSeconds": 9999}, {"maximum": 0})) == 0
}

test_at_once if {
	found("Pod", {"terminationGracePeriodSeconds": 0}, {}) == {{
		"msg": "terminationGracePeriodSeconds 0 kills the containers at once",
		"pointer": "/spec/terminationGracePeriodSeconds",
	}}
	messages({"terminationGracePeriodSeconds": -1}, {}) == {"terminationGracePeriodSeconds -1 kills the containers at once"}
}

test_maximum if {
	messages({"terminationGracePeriodSeconds": 301}, {}) == {"terminationGracePeriodSeconds 301 is more than the allowed 300"}
	messages({}, {"maximum": 10}) == {"terminationGracePeriodSeconds 30 is more than the allowed 10"}
}

test_pre_stop_is_asked_where_configured if {
	pod := {"containers": [serving({})]}
	count(found("Deployment", pod, {})) == 0
	messages(pod, {"preStop": true}) == {`container "c" has ports and no preStop hook`}
	{violation.pointer | some violation in found("Deployment", pod, {"preStop": true})} == {"/spec/template/spec/containers/0/lifecycle/preStop"}
}

test_every_hook_counts if {
	every handler in ["exec", "sleep", "httpGet", "tcpSocket"] {
		count(found("Deployment", pre_stop({handler: {}}), {"preStop": true})) == 0
	}
	every hook in [{}, null, {"other": {}}, "exec"] {
		count(found("Deployment", pre_stop(hook), {"preStop": true})) == 1
	}
}

test_sidecars_are_asked_and_init_containers_are_not if {
	count(found("Deployment", {"initContainers": [serving({"restartPolicy": "Always"})]}, {"preStop": true})) == 1
	count(found("Deployment", {"initContainers": [serving({})]}, {"preStop": true})) == 0
	count(found("Pod", {"ephemeralContainers": [serving({})]}, {"preStop": true})) == 0
}

test_what_ends_by_itself_is_not_asked if {
	count(found("Job", {"containers": [serving({})]}, {"preStop": true})) == 0
	count(found("Pod", {"restartPolicy": "Never", "containers": [serving({})]}, {"preStop": true})) == 0
	count(found("Pod", {"restartPolicy": "Always", "containers": [serving({})]}, {"preStop": true})) == 1
	count(found("Deployment", {"containers": [{"name": "c", "ports": []}]}, {"preStop": true})) == 0
}

test_garbage_is_no_error if {
	every pod in [null, 5, "x", {"containers": "x"}, {"containers": [5, null, {"ports": 5}]}] {
		count(found("Deployment", pod, {"preStop": true})) == 0
	}
	messages({"terminationGracePeriodSeconds": "30s"}, {}) == {"terminationGracePeriodSeconds 30s is not a number"}
}
