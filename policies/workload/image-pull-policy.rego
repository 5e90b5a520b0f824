# METADATA
# title: Images whose tag can change are always pulled
# description: |
#   # What it checks
#
#   Every container whose image has a tag that can change has `imagePullPolicy: Always`. Such tags are
#   `latest`, no tag at all (which is `latest`), and those that a pattern in `mutable` names. An image
#   that is pinned by its digest may be pulled as anybody likes, and so may any other tag.
#
#   The value that the API server would fill in is judged: where none is written, it is `Always` for
#   `latest` and for no tag, and `IfNotPresent` for all other tags. Init containers, native sidecars
#   and ephemeral containers count, and so do images that are mounted as volumes (`pullPolicy`).
#
#   # Why
#
#   With `IfNotPresent` a node that has some `main` keeps it, and another node pulls a newer one: pods
#   of one Deployment run different code, and a restart on another node is a release that nobody made.
#
#   # Parameters
#
#   - `mutable`: the tags that can change, besides `latest`; `*` is any number of characters. `["*"]`
#     demands `Always` of every image without a digest. Default: names of branches, stages and
#     channels, such as `main`, `dev`, `staging` and `*-SNAPSHOT`.
#
#   # How to fix
#
#   Pin the image, which is better, or pull it always:
#
#   ```yaml
#   containers:
#     - name: web
#       image: ghcr.io/acme/web:main
#       imagePullPolicy: Always
#   ```
#
#   # Controls
#
#   - Kubernetes documentation: Images
# custom:
#   severity: medium
#   scope: object
#   enforcement: "off"
#   matches: [Workload]
#   help: pin the image by version or digest, or set imagePullPolicy to Always
#   parameters:
#     mutable:
#       type: array
#       items: {type: string, minLength: 1, pattern: '^[A-Za-z0-9_.-]*(\*[A-Za-z0-9_.-]+)*\*?$'}
#       default:
#         - latest
#         - "*-latest"
#         - main
#         - master
#         - trunk
#         - develop
#         - development
#         - dev
#         - test
#         - qa
#         - uat
#         - staging
#         - stage
#         - stg
#         - preprod
#         - prod
#         - production
#         - live
#         - preview
#         - edge
#         - nightly
#         - canary
#         - stable
#         - next
#         - "*-SNAPSHOT"
#       description: the tags that can change, as globs
package stagegate.image_pull_policy

import data.stagegate.lib.workload

violation contains {"msg": msg, "pointer": pointer} if {
	some [list, i, container] in workload.containers(workload.spec(input.review))
	not container.imagePullPolicy == "Always"
	[policy, tag] := _stale(container.image, container, "imagePullPolicy")
	msg := sprintf(
		`container "%s" has imagePullPolicy %v, but its tag "%s" can change: it must be Always`,
		[workload.name(container), policy, tag],
	)
	pointer := workload.at(input.review, list, i, "imagePullPolicy")
}

violation contains {"msg": msg, "pointer": pointer} if {
	some i
	volume := workload.spec(input.review).volumes[i]
	image := volume.image
	not image.pullPolicy == "Always"
	[policy, tag] := _stale(image.reference, image, "pullPolicy")
	msg := sprintf(
		`volume "%s" has pullPolicy %v, but the tag "%s" of its image can change: it must be Always`,
		[workload.name(volume), policy, tag],
	)
	pointer := workload.at(input.review, "volumes", i, "image/pullPolicy")
}

# The pull policy of an image and its tag, where that can change and is not always pulled.
_stale(reference, holder, field) := [policy, tag] if {
	is_string(reference)
	tag := workload.image_tag(reference)
	_is_mutable(tag)
	policy := _policy(object.get(holder, field, null), reference, tag)
	policy != "Always"
}

_is_mutable(tag) if {
	tag == "latest"
} else if {
	workload.matches_any(tag, input.parameters.mutable)
}

# What the API server fills in; a name that is none has no tag for it.
# Source: SetDefaults_Container in pkg/apis/core/v1/defaults.go.
_policy(written, reference, tag) := written if {
	workload.is_set(written)
} else := "Always" if {
	tag == "latest"
	regex.match(`^[^/]+(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)+$`, workload.image_name(reference))
} else := "IfNotPresent"
