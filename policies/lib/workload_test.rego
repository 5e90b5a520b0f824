package stagegate.lib.workload_test

import data.stagegate.lib.workload

review(group, kind, object) := {"kind": {"group": group, "version": "v1", "kind": kind}, "object": object}

template := {"template": {"spec": {"a": 1}, "metadata": {"labels": {"b": "c"}}}}

test_finds_the_pod_of_every_kind if {
	every group_kind in [
		["", "ReplicationController"], ["apps", "Deployment"], ["apps", "StatefulSet"], ["apps", "DaemonSet"],
		["apps", "ReplicaSet"], ["extensions", "Deployment"], ["extensions", "DaemonSet"], ["extensions", "ReplicaSet"],
		["batch", "Job"], ["argoproj.io", "Rollout"],
	] {
		object := review(group_kind[0], group_kind[1], {"spec": template})
		workload.spec(object) == {"a": 1}
		workload.labels(object) == {"b": "c"}
		workload.pointer(object) == "/spec/template/spec"
	}
}

test_finds_the_pod_of_pods_and_cron_jobs if {
	pod := review("", "Pod", {"spec": {"a": 1}, "metadata": {"labels": {"b": "c"}}})
	workload.spec(pod) == {"a": 1}
	workload.labels(pod) == {"b": "c"}
	workload.pointer(pod) == "/spec"
	cron_job := review("batch", "CronJob", {"spec": {"jobTemplate": {"spec": template}}})
	workload.spec(cron_job) == {"a": 1}
	workload.labels(cron_job) == {"b": "c"}
	workload.pointer(cron_job) == "/spec/jobTemplate/spec/template/spec"
}

test_what_is_no_workload_has_no_pod if {
	every group_kind in [["example.com", "Deployment"], ["", "Deployment"], ["apps", "Pod"], ["batch.volcano.sh", "Job"], ["apps", "CronJob"]] {
		not workload.spec(review(group_kind[0], group_kind[1], {"spec": template}))
	}
	not workload.spec(review("argoproj.io", "Rollout", {"spec": {"workloadRef": {"name": "a"}}}))
}

test_lists_containers if {
	pod := {
		"containers": [{"name": "m"}],
		"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
		"ephemeralContainers": [{"name": "e"}],
	}
	[[list, i, workload.name(container), workload.type(list, container)] | some [list, i, container] in workload.containers(pod)] == [
		["initContainers", 0, "i", "init"],
		["initContainers", 1, "s", "sidecar"],
		["containers", 0, "m", "container"],
		["ephemeralContainers", 0, "e", "ephemeral"],
	]
	workload.name({"name": 5}) == ""
}

test_points_at_fields if {
	workload.at(review("", "Pod", {}), "containers", 1, "image") == "/spec/containers/1/image"
}

test_reads_image_names if {
	every reference, name in {
		"nginx": "docker.io/library/nginx",
		"nginx:1": "docker.io/library/nginx",
		"nginx@sha256:00": "docker.io/library/nginx",
		"a/b": "docker.io/a/b",
		"a/b/c:1@sha256:00": "docker.io/a/b/c",
		"docker.io/nginx:1": "docker.io/library/nginx",
		"docker.io/a/b": "docker.io/a/b",
		"index.docker.io/nginx": "docker.io/library/nginx",
		"index.docker.io/a/b": "docker.io/a/b",
		"ghcr.io/a:1": "ghcr.io/a",
		"reg:5000/a": "reg:5000/a",
		"reg:5000/a/b:1": "reg:5000/a/b",
		"localhost/a": "localhost/a",
		"localhost:5000/a": "localhost:5000/a",
		"localhost": "docker.io/library/localhost",
		"REG/a": "REG/a",
		"": "docker.io/library/",
	} {
		workload.image_name(reference) == name
	}
}

test_writes_whole_image_names if {
	every reference, name in {
		"nginx": "docker.io/library/nginx",
		"nginx:1": "docker.io/library/nginx:1",
		"a/b:1@sha256:00": "docker.io/a/b:1@sha256:00",
		"reg:5000/a@sha256:00": "reg:5000/a@sha256:00",
	} {
		workload.image_full_name(reference) == name
	}
}

test_reads_tags if {
	every reference, tag in {"nginx": "latest", "nginx:": "latest", "a/b:1": "1", "reg:5000/a": "latest", "reg:5000/a:v1": "v1"} {
		workload.image_tag(reference) == tag
	}
	not workload.image_tag("a@sha256:00")
	not workload.image_tag("a:1@sha256:00")
}

test_matches_images if {
	every pattern in ["ghcr.io", "ghcr.io/a", "ghcr.io/a/b", "*.io", "ghcr.io/*/b", "g*o/a", "ghcr.io/a/*", "*"] {
		workload.image_matches("ghcr.io/a/b", ["x", pattern])
	}
	every pattern in ["ghcr.i", "ghcr", "ghcr.io/a/b/c", "ghcr.io/b", "ghcr.io/*/c", "*.com", "ghcr.io/*/b/c"] {
		not workload.image_matches("ghcr.io/a/b", ["x", pattern])
	}
}

test_knows_what_is_written if {
	workload.is_set(0)
	workload.is_set(false)
	not workload.is_set(null)
	not workload.is_set("")
}

test_resource_amounts if {
	pod := {
		"containers": [{"resources": {"limits": {"nvidia.com/gpu": 1}}}, {}],
		"initContainers": [{"resources": {"requests": {"nvidia.com/gpu": "2"}}}],
	}
	workload.resource_amounts(pod, "nvidia.com/gpu") == [1, "2"]
	workload.resource_amounts({}, "nvidia.com/gpu") == []
}

test_matches_any if {
	workload.matches_any("1.2-SNAPSHOT", ["main", "*-SNAPSHOT"])
	workload.matches_any("main", ["main"])
	not workload.matches_any("1.2", ["main", "*-SNAPSHOT"])
}
