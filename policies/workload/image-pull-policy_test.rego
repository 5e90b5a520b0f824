package stagegate.image_pull_policy_test

import data.stagegate.image_pull_policy

mutable := ["latest", "main", "*-SNAPSHOT"]

found(spec) := violations if {
	review := {"kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": {"spec": spec}}
	violations := image_pull_policy.violation with input as {"review": review, "parameters": {"mutable": mutable}}
}

container(image, policy) := {"containers": [{"name": "c", "image": image, "imagePullPolicy": policy}]}

absent(image) := {"containers": [{"name": "c", "image": image}]}

test_always_passes if {
	count(found(container("a:main", "Always"))) == 0
	count(found(container("a", "Always"))) == 0
}

test_defaults_by_tag if {
	every image in ["a", "a:latest", "reg:5000/a"] {
		count(found(absent(image))) == 0
		count(found(container(image, null))) == 0
		count(found(container(image, ""))) == 0
	}
	count(found(absent("a:main"))) == 1
	count(found(absent("a:1-SNAPSHOT"))) == 1
}

test_a_name_that_is_none_has_no_tag_for_the_api_server if count(found(absent("Acme_:latest"))) == 1

test_versions_and_digests_pass if {
	every image in ["a:1.2", "main:1", "a:latest@sha256:00", "a@sha256:00", "reg:5000/main:v1"] {
		count(found(container(image, "Never"))) == 0
	}
}

test_says_what_and_where if {
	found(container("ghcr.io/acme/a:main", "Never")) == {{
		"msg": `container "c" has imagePullPolicy Never, but its tag "main" can change: it must be Always`,
		"pointer": "/spec/containers/0/imagePullPolicy",
	}}
	found(container("a", "IfNotPresent")) == {{
		"msg": `container "c" has imagePullPolicy IfNotPresent, but its tag "latest" can change: it must be Always`,
		"pointer": "/spec/containers/0/imagePullPolicy",
	}}
}

test_volumes_count if {
	volumes := [
		{"name": "v", "image": {"reference": "a:main"}},
		{"name": "w", "image": {"reference": "a"}},
		{"name": "x", "image": {"reference": "a:main", "pullPolicy": "Always"}},
	]
	found({"volumes": volumes}) == {{
		"msg": `volume "v" has pullPolicy IfNotPresent, but the tag "main" of its image can change: it must be Always`,
		"pointer": "/spec/volumes/0/image/pullPolicy",
	}}
}

test_garbage_is_no_error if {
	every spec in [
		null, 5, "x", {"containers": null}, {"containers": ["x", {"image": 5}, {"image": [], "imagePullPolicy": 5}]},
		{"volumes": "x"}, {"volumes": [{"image": "x"}, {"image": {"reference": 5}}]},
	] {
		count(found(spec)) == 0
	}
	count(found(container("a:main", 5))) == 1
}
