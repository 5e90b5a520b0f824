# METADATA
# title: What policies ask about workloads
# description: |
#   A workload is a Pod, or anything with a pod template. These functions say where the pod stands in
#   the object under review, and read its containers and images as Kubernetes reads them. They do as
#   crates/core/src/workload.rs does: what is no workload has no spec here, nor has a Rollout with
#   `workloadRef`, whose pods are those of a Deployment that is judged itself.
#
#   Objects may hold anything. What is not of the type that Kubernetes wants is undefined here, never
#   an error: loops are written `some i` and `list[i]`, because `some x in list` is an error of regorus
#   where `list` is none, and no builtin is called before its argument's type is known.
#
#   And `not f(x.field)` is asked only where the field is there: where it is not, OPA takes the expression
#   for undefined, and regorus for true.
#
#   There are functions only: regorus evaluates every rule of an imported package that is no function,
#   whether it is asked for or not.
package stagegate.lib.workload

# METADATA
# title: The spec of the pods that the object under review runs
spec(review) := review.object.spec.template.spec if {
	concat("/", [review.kind.group, review.kind.kind]) in {
		"/ReplicationController",
		"apps/Deployment",
		"apps/StatefulSet",
		"apps/DaemonSet",
		"apps/ReplicaSet",
		"extensions/Deployment",
		"extensions/DaemonSet",
		"extensions/ReplicaSet",
		"batch/Job",
		"argoproj.io/Rollout",
	}
} else := review.object.spec if {
	review.kind.kind == "Pod"
	review.kind.group == ""
} else := review.object.spec.jobTemplate.spec.template.spec if {
	review.kind.kind == "CronJob"
	review.kind.group == "batch"
}

# METADATA
# title: The labels of the pods that the object under review runs
labels(review) := review.object.metadata.labels if {
	review.kind.kind == "Pod"
} else := review.object.spec.jobTemplate.spec.template.metadata.labels if {
	review.kind.kind == "CronJob"
} else := review.object.spec.template.metadata.labels

# METADATA
# title: Where the pod's spec stands in the object under review, as a JSON pointer
pointer(review) := "/spec" if {
	review.kind.kind == "Pod"
} else := "/spec/jobTemplate/spec/template/spec" if {
	review.kind.kind == "CronJob"
} else := "/spec/template/spec"

# METADATA
# title: The pointer to a field of an item of a list in the pod's spec
at(review, list, i, field) := sprintf("%s/%s/%v/%s", [pointer(review), list, i, field])

# METADATA
# title: Every container of a pod's spec, as [list, i, container]
# description: |
#   `spec[list][i]` is the container. Init containers stand first, ephemeral ones last.
containers(pod) := [[list, i, container] |
	some list in ["initContainers", "containers", "ephemeralContainers"]
	some i
	container := pod[list][i]
]

# METADATA
# description: What the containers and init containers of a pod request of a resource, and are limited to.
resource_amounts(pod, resource) := [amount |
	some list in ["containers", "initContainers"]
	some i
	some way in ["limits", "requests"]
	amount := pod[list][i].resources[way][resource]
]

# METADATA
# title: What kind of container one is
# description: |
#   `container`, `init`, `sidecar` (an init container that restarts always and so keeps running) or
#   `ephemeral`, by the list that it stands in.
type("containers", _) := "container"

type("ephemeralContainers", _) := "ephemeral"

type("initContainers", container) := "sidecar" if {
	container.restartPolicy == "Always"
} else := "init"

# METADATA
# title: The name of a container or a volume
# description: Empty where it has none.
name(item) := item.name if {
	is_string(item.name)
} else := ""

# METADATA
# title: Whether a value is one that the API server leaves as it is
# description: It fills in what is null or an empty string as if it were absent.
is_set(value) if not value in {null, ""}

# METADATA
# title: The registry and repository of an image
# description: |
#   Written out as Docker does: `nginx:1.27` is `docker.io/library/nginx`. The reference must be a string.
image_name(reference) := _domain(split(tagless, "/"), tagless) if {
	tagged := split(reference, "@")[0]
	tagless := trim_suffix(tagged, concat(":", ["", _tag(tagged)]))
}

# METADATA
# title: The whole name of an image
# description: With its tag and digest as they are written. The reference must be a string.
image_full_name(reference) := concat("", [image_name(reference), substring(reference, count(tagless), -1)]) if {
	tagged := split(reference, "@")[0]
	tagless := trim_suffix(tagged, concat(":", ["", _tag(tagged)]))
}

# METADATA
# title: The tag of an image that has no digest
# description: |
#   `latest` where none is written; undefined where a digest pins the image. The reference must be a string.
image_tag(reference) := tag if {
	not contains(reference, "@")
	tag := _tag(reference)
	tag != ""
} else := "latest" if {
	not contains(reference, "@")
}

# What follows the last colon, unless that begins a port; empty where there is no tag.
_tag(tagged) := last if {
	parts := split(tagged, ":")
	count(parts) > 1
	last := parts[count(parts) - 1]
	not contains(last, "/")
} else := ""

# A first step is a registry if it has a dot, a colon or a capital, or is localhost.
# Source: splitDockerDomain of github.com/distribution/reference.
_domain(steps, tagless) := tagless if {
	count(steps) > 1
	_is_registry(steps[0])
	not steps[0] in {"docker.io", "index.docker.io"}
} else := concat("/", ["docker.io/library", tagless]) if {
	count(steps) == 1
} else := concat("/", ["docker.io", tagless]) if {
	not _is_registry(steps[0])
} else := concat("/", ["docker.io/library", steps[1]]) if {
	count(steps) == 2
} else := concat("/", ["docker.io", trim_prefix(trim_prefix(tagless, "index."), "docker.io/")])

_is_registry(step) if {
	contains(step, ".")
} else if {
	contains(step, ":")
} else if {
	step == "localhost"
} else if {
	lower(step) != step
}

# METADATA
# title: Whether one of some patterns means an image
# description: |
#   A pattern names an image, or a registry or folder with all that is in it; `*` is one step between
#   slashes or a part of one. There is no `**`, nor `?` or braces: OPA and regorus read them differently.
image_matches(image, patterns) if {
	some pattern in patterns
	_image_matches(image, pattern)
}

_image_matches(image, pattern) if {
	startswith(image, concat("/", [pattern, ""]))
} else if {
	image == pattern
} else if {
	contains(pattern, "*")
	glob.match(concat("/", [pattern, "**"]), ["/"], image)
} else if {
	contains(pattern, "*")
	glob.match(pattern, ["/"], image)
}

# METADATA
# description: Whether a text is one of the patterns, in which `*` is any number of characters but `/`.
matches_any(text, patterns) if {
	text in patterns
} else if {
	some pattern in patterns
	contains(pattern, "*")
	glob.match(pattern, ["/"], text)
}
