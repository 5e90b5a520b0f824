package stagegate.node_placement_test

import data.stagegate.node_placement

gpu := {
	"match": {"resource": "nvidia.com/gpu"},
	"nodeSelector": {"pool": ["a", "b"]},
	"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
}

found(pod, rules) := violations if {
	violations := node_placement.violation with input as {
		"review": {
			"kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
			"object": {"spec": {"template": {"metadata": {"labels": {"team": "x", "tier": "y"}}, "spec": pod}}},
		},
		"parameters": {"rules": rules},
	}
}

with_gpu(more) := object.union({"containers": [{"resources": {"limits": {"nvidia.com/gpu": 1}}}]}, more)

placed := {"nodeSelector": {"pool": "a"}, "tolerations": [{"operator": "Exists"}]}

affinity(terms) := {
	"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}},
	"tolerations": [{"operator": "Exists"}],
}

term(operator, values) := {"matchExpressions": [{"key": "pool", "operator": operator, "values": values}]}

tolerating(toleration) := {"nodeSelector": {"pool": "b"}, "tolerations": [toleration]}

test_placed_pods_pass if count(found(with_gpu(placed), [gpu])) == 0

test_says_what_is_missing if {
	found(with_gpu({}), [gpu]) == {
		{
			"msg": "pods must run on nodes with pool=a or b, which neither nodeSelector nor required node affinity demands",
			"pointer": "/spec/template/spec/nodeSelector",
		},
		{"msg": "pods must tolerate the taint gpu=yes:NoSchedule", "pointer": "/spec/template/spec/tolerations"},
	}
}

test_only_who_asks_for_the_resource if {
	every amount in [0, "0", null] {
		count(found({"containers": [{"resources": {"limits": {"nvidia.com/gpu": amount}}}]}, [gpu])) == 0
	}
	count(found({"initContainers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]}, [gpu])) == 2
	count(found({"containers": [{"resources": {"limits": {"cpu": 1}}}]}, [gpu])) == 0
}

test_required_affinity_selects if {
	every terms in [[term("In", ["a"])], [term("In", ["a", "b"]), term("In", ["b"])]] {
		count(found(with_gpu(affinity(terms)), [gpu])) == 0
	}
	every terms in [
		[], null, "x", [null], [term("In", [])], [term("In", "a")], [term("In", ["a", "c"])], [term("NotIn", ["c"])],
		[term("In", ["a"]), {"matchExpressions": []}],
	] {
		count(found(with_gpu(affinity(terms)), [gpu])) == 1
	}
}

test_tolerations_as_kubernetes_reads_them if {
	every toleration in [
		{"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"key": "gpu", "operator": "Equal", "value": "yes"},
		{"key": "gpu", "operator": "Exists", "effect": null}, {"operator": "Exists", "effect": "NoSchedule"},
	] {
		count(found(with_gpu(tolerating(toleration)), [gpu])) == 0
	}
	every toleration in [
		{"key": "gpu", "value": "no"}, {"key": "gpu"}, {"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, null, 5,
		{"key": "tpu", "operator": "Exists"}, {"value": "yes"}, {"key": "gpu", "operator": "Lt", "value": "yes"}, {},
	] {
		count(found(with_gpu(tolerating(toleration)), [gpu])) == 1
	}
}

test_a_taint_without_value if {
	rule := {"match": {"kinds": ["Deployment"]}, "taints": [{"key": "gpu", "effect": "NoSchedule"}]}
	count(found({"tolerations": [{"key": "gpu"}]}, [rule])) == 0
	{violation.msg | some violation in found({}, [rule])} == {"pods must tolerate the taint gpu:NoSchedule"}
}

test_all_conditions_must_hold if {
	wanted := {"nodeSelector": {"pool": "a"}}
	every match in [{"labels": {"team": "x"}}, {"labels": {"team": "x", "tier": "y"}, "kinds": ["Job", "Deployment"]}] {
		count(found({}, [object.union(wanted, {"match": match})])) == 1
	}
	every match in [
		{"labels": {"team": "z"}}, {"labels": {"team": "x", "zone": "y"}}, {"labels": {"team": "x"}, "kinds": ["Job"]},
		{"labels": {"team": "x"}, "resource": "nvidia.com/gpu"},
	] {
		count(found({}, [object.union(wanted, {"match": match})])) == 0
	}
}

test_labels_of_every_kind if {
	rule := {"match": {"labels": {"team": "x"}}, "nodeSelector": {"pool": "a"}}
	metadata := {"labels": {"team": "x"}}
	every review in [
		{"kind": {"group": "", "kind": "Pod"}, "object": {"metadata": metadata, "spec": {}}},
		{
			"kind": {"group": "batch", "kind": "CronJob"},
			"object": {"spec": {"jobTemplate": {"spec": {"template": {"metadata": metadata, "spec": {}}}}}},
		},
	] {
		count(node_placement.violation) == 1 with input as {"review": review, "parameters": {"rules": [rule]}}
	}
}

test_says_that_there_are_no_rules if {
	found({}, []) == {{
		"msg": `nothing says where pods belong, because the parameter "rules" is empty`,
		"pointer": "/spec/template/spec",
	}}
}

test_garbage_is_no_error if {
	every pod in [null, 5, "x", {"containers": "x"}, {"containers": [null, {"resources": 5}, {"resources": {"limits": "x"}}]}] {
		count(found(pod, [gpu])) == 0
	}
	count(found(with_gpu({"nodeSelector": 5, "affinity": "x", "tolerations": "x"}), [gpu])) == 2
}
