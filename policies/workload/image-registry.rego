# METADATA
# title: Images come from the allowed registries
# description: |
#   # What it checks
#
#   Every image is one that a pattern in `allow` names: those of containers, init containers, native
#   sidecars and ephemeral containers, and those that are mounted as volumes. Images are compared by
#   their whole names, as Docker reads them: `nginx` is `docker.io/library/nginx`, `bitnami/redis` is
#   `docker.io/bitnami/redis`, and `index.docker.io` is `docker.io`. Tags and digests do not matter
#   here; `image-tag` judges them.
#
#   As long as `allow` is empty, no image is allowed.
#
#   # Why
#
#   An image is code that runs in the cluster with the workload's rights. Whoever can name any
#   registry can run anything, and a name that is spelled almost like the right one is enough. Public
#   registries limit how often they may be asked, and may delete what production needs.
#
#   # Parameters
#
#   - `allow`: the images that are allowed. A pattern names an image, or a registry or folder with all
#     that is in it: `registry.k8s.io`, `ghcr.io/acme`, `docker.io/library/nginx`, without a tag. `*` is
#     one step between slashes or a part of one: `*.azurecr.io`. Default: `[]`.
#
#   # How to fix
#
#   Use an image of an allowed registry, or mirror the image there:
#
#   ```yaml
#   containers:
#     - name: api
#       image: ghcr.io/acme/api:1.4.0
#   ```
#
#   # Controls
#
#   - CIS Kubernetes Benchmark 1.11: 5.5.1 Configure Image Provenance using ImagePolicyWebhook
#     admission controller
# custom:
#   severity: high
#   scope: object
#   enforcement: "off"
#   matches: [Workload]
#   help: use an image of an allowed registry
#   parameters:
#     allow:
#       type: array
#       items:
#         type: string
#         minLength: 1
#         pattern: '^[A-Za-z0-9._-]*(\*[A-Za-z0-9._-]+)*\*?(:[0-9]+)?(/[A-Za-z0-9._-]*(\*[A-Za-z0-9._-]+)*\*?)*$'
#       default: []
#       description: the images that are allowed, as globs without tag
#   controls:
#     - {source: "CIS Kubernetes Benchmark 1.11", id: "5.5.1"}
package stagegate.image_registry

import data.stagegate.lib.workload

violation contains {"msg": msg, "pointer": pointer} if {
	some [list, i, container] in workload.containers(workload.spec(input.review))
	image := _refused(container.image)
	msg := sprintf(`container "%s" takes its image from %s, which is not allowed`, [workload.name(container), image])
	pointer := workload.at(input.review, list, i, "image")
}

violation contains {"msg": msg, "pointer": pointer} if {
	some i
	volume := workload.spec(input.review).volumes[i]
	image := _refused(volume.image.reference)
	msg := sprintf(`volume "%s" takes its image from %s, which is not allowed`, [workload.name(volume), image])
	pointer := workload.at(input.review, "volumes", i, "image/reference")
}

violation contains {"msg": msg, "pointer": pointer} if {
	count(input.parameters.allow) == 0
	workload.spec(input.review)
	msg := "no image is allowed, because the parameter \"allow\" is empty"
	pointer := concat("/", [workload.pointer(input.review), "containers"])
}

# The whole name of an image that no pattern allows.
_refused(reference) := workload.image_full_name(reference) if {
	is_string(reference)
	count(input.parameters.allow) > 0
	not workload.image_matches(workload.image_name(reference), input.parameters.allow)
}
