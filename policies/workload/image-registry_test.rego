package stagegate.image_registry_test

import data.stagegate.image_registry

pod(spec) := {"kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": {"spec": spec}}

found(spec, allow) := violations if {
	violations := image_registry.violation with input as {"review": pod(spec), "parameters": {"allow": allow}}
}

containers(images) := {"containers": [{"name": "c", "image": image} | some image in images]}

test_allows_a_registry_and_a_folder if {
	images := ["ghcr.io/acme/api:1", "ghcr.io/acme/eu/api@sha256:00", "reg:5000/x", "localhost/x"]
	count(found(containers(images), ["ghcr.io/acme", "reg:5000", "localhost"])) == 0
}

test_reads_names_as_docker_does if {
	images := [
		"nginx", "nginx:1", "library/nginx", "docker.io/nginx", "docker.io/library/nginx", "index.docker.io/nginx@sha256:00",
		"index.docker.io/library/nginx",
	]
	count(found(containers(images), ["docker.io/library/nginx"])) == 0
}

test_names_the_whole_image if {
	found(containers(["acme/api:1@sha256:00"]), ["ghcr.io"]) == {{
		"msg": `container "c" takes its image from docker.io/acme/api:1@sha256:00, which is not allowed`,
		"pointer": "/spec/containers/0/image",
	}}
}

test_a_beginning_is_not_enough if {
	images := ["ghcr.io.evil.test/a", "ghcr.iox/a", "ghcr.io:443/a", "evil.test/ghcr.io/a", "GHCR/a"]
	count(found(containers(images), ["ghcr.io"])) == 5
}

test_a_star_is_one_step if {
	count(found(containers(["a.azurecr.io/x/y:1"]), ["*.azurecr.io"])) == 0
	count(found(containers(["ghcr.io/x/api:1"]), ["ghcr.io/*/api"])) == 0
	count(found(containers(["ghcr.io/x/y/api:1", "ghcr.io/api"]), ["ghcr.io/*/api"])) == 2
}

test_every_list_of_containers_counts if {
	spec := {
		"initContainers": [{"name": "i", "image": "a"}],
		"containers": [{"name": "c", "image": "b"}],
		"ephemeralContainers": [{"name": "e", "image": "c"}],
		"volumes": [{"name": "v", "image": {"reference": "d"}}],
	}
	{violation.pointer | some violation in found(spec, ["ghcr.io"])} == {
		"/spec/initContainers/0/image",
		"/spec/containers/0/image",
		"/spec/ephemeralContainers/0/image",
		"/spec/volumes/0/image/reference",
	}
}

test_says_that_nothing_is_allowed if {
	found(containers(["a", "b"]), []) == {{
		"msg": `no image is allowed, because the parameter "allow" is empty`,
		"pointer": "/spec/containers",
	}}
}

test_reads_every_kind if {
	some [group, kind, path] in [
		["batch", "CronJob", "/spec/jobTemplate/spec/template/spec"],
		["apps", "Deployment", "/spec/template/spec"],
		["argoproj.io", "Rollout", "/spec/template/spec"],
	]
	template := {"template": {"spec": containers(["a"])}}
	review := {
		"kind": {"group": group, "version": "v1", "kind": kind},
		"object": {"spec": object.union(template, {"jobTemplate": {"spec": template}})},
	}
	violations := image_registry.violation with input as {"review": review, "parameters": {"allow": ["b"]}}
	{violation.pointer | some violation in violations} == {concat("", [path, "/containers/0/image"])}
}

test_no_workload_has_no_images if {
	review := {"kind": {"group": "example.com", "version": "v1", "kind": "Deployment"}, "object": {"spec": {"template": {"spec": containers(["a"])}}}}
	count(image_registry.violation) == 0 with input as {"review": review, "parameters": {"allow": []}}
}

test_garbage_is_no_error if {
	every spec in [
		null, 5, "x", {"containers": null}, {"containers": "x", "volumes": 5}, {"containers": {"a": {"image": 5}}},
		{"containers": [null, 5, {"image": null}]}, {"volumes": [{"image": "x"}, {"image": {"reference": []}}]},
	] {
		count(found(spec, ["ghcr.io"])) == 0
	}
	count(found({"containers": [{"image": "a", "name": 5}]}, ["ghcr.io"])) == 1
}
