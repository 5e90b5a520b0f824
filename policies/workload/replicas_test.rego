package stagegate.replicas_test

import data.stagegate.replicas

defaults := {"minimum": 2, "kinds": ["Deployment", "Rollout"], "zero": true}

workload(kind, group, spec) := {
	"kind": {"group": group, "version": "v1", "kind": kind},
	"namespace": "shop",
	"object": {"metadata": {"name": "web"}, "spec": spec},
}

found(spec, parameters, index) := violations if {
	violations := replicas.violation with input as {
		"review": workload("Deployment", "apps", spec),
		"parameters": object.union(defaults, parameters),
	}
		with data.index as {"by_kind": index}
}

messages(spec, parameters, index) := {violation.msg | some violation in found(spec, parameters, index)}

target := {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}

hpa(ref, minimum) := {"HorizontalPodAutoscaler": {"shop": [{
	"apiVersion": "autoscaling/v2",
	"metadata": {"name": "h"},
	"spec": {"scaleTargetRef": ref, "minReplicas": minimum},
}]}}

scaled(ref, minimum) := {"ScaledObject": {"shop": [{
	"apiVersion": "keda.sh/v1alpha1",
	"metadata": {"name": "s"},
	"spec": {"scaleTargetRef": ref, "minReplicaCount": minimum},
}]}}

test_enough if count(found({"replicas": 2}, {}, {})) == 0

test_too_few if {
	expected := {{"msg": "runs 1 replica, fewer than 2", "pointer": "/spec/replicas"}}
	found({"replicas": 1}, {}, {}) == expected
	found({}, {}, {}) == expected
	found({"replicas": null}, {}, {}) == expected
	messages({"replicas": 2}, {"minimum": 3}, {}) == {"runs 2 replicas, fewer than 3"}
}

test_zero_is_switched_off if {
	count(found({"replicas": 0}, {}, {})) == 0
	messages({"replicas": 0}, {"zero": false}, {}) == {"runs 0 replicas, fewer than 2"}
	count(found({"replicas": 0}, {}, hpa(target, 1))) == 0
	count(found({}, {}, scaled(target, null))) == 0
}

test_the_autoscaler_counts if {
	count(found({}, {}, hpa(target, 2))) == 0
	count(found({"replicas": 1}, {}, scaled({"name": "web"}, 2))) == 0
	messages({"replicas": 5}, {}, hpa(target, 1)) == {`HorizontalPodAutoscaler "h" keeps 1 replica at the least, fewer than 2`}
	messages({}, {}, hpa(target, null)) == {`HorizontalPodAutoscaler "h" keeps 1 replica at the least, fewer than 2`}
	messages({}, {"zero": false}, scaled(target, null)) == {`ScaledObject "s" keeps 0 replicas at the least, fewer than 2`}
}

test_the_lower_of_two_counts if {
	messages({}, {}, object.union(hpa(target, 3), scaled(target, 1))) == {`ScaledObject "s" keeps 1 replica at the least, fewer than 2`}
}

test_other_targets_do_not_count if {
	every ref in [
		{"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
		{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"},
		{"apiVersion": "example.com/v1", "kind": "Deployment", "name": "web"},
		{"apiVersion": 5, "kind": "Deployment", "name": "web"},
		{"name": "web"}, null, "web",
	] {
		messages({}, {}, hpa(ref, 3)) == {"runs 1 replica, fewer than 2"}
	}
}

test_kinds if {
	every kind, group in {"Rollout": "argoproj.io", "Deployment": "extensions"} {
		violations := replicas.violation with input as {"review": workload(kind, group, {}), "parameters": defaults}
		count(violations) == 1
	}
	stateful := workload("StatefulSet", "apps", {})
	count(replicas.violation) == 0 with input as {"review": stateful, "parameters": defaults}
	asked := object.union(defaults, {"kinds": ["StatefulSet"]})
	count(replicas.violation) == 1 with input as {"review": stateful, "parameters": asked}
}

test_garbage_is_no_error if {
	messages({"replicas": "x"}, {}, {}) == {"replicas x is not a number"}
	count(found({"replicas": []}, {}, {})) == 1
	every spec in [null, 5, "x"] {
		messages(spec, {}, {}) == {"runs 1 replica, fewer than 2"}
	}
	messages({}, {}, hpa(target, "x")) == {`HorizontalPodAutoscaler "h" keeps 1 replica at the least, fewer than 2`}
	scalers := {"HorizontalPodAutoscaler": {"shop": [{"apiVersion": "autoscaling/v2", "metadata": {"name": "h"}, "spec": 5}]}}
	count(found({}, {}, scalers)) == 1
}
