# METADATA
# title: Images of private registries have a pull secret that exists
# description: |
#   # What it checks
#
#   A workload with an image of one of `registries` has a pull secret: in `imagePullSecrets` of the pod,
#   or where that is empty, of its ServiceAccount, as Kubernetes fills it in. One of the secrets that
#   are named exists in the namespace:
#
#   - a Secret of type `kubernetes.io/dockerconfigjson` or `kubernetes.io/dockercfg`; also one without
#     any data, whose contents are somebody else's business
#   - a SealedSecret of that name; the Secret is called as the SealedSecret is
#   - an ExternalSecret that creates it (`spec.target.name`, else its own name), or a
#     ClusterExternalSecret that does, whose namespaces are not looked at
#
#   The kubelet does not take what is of another type, or becomes it by the template of a SealedSecret or
#   ExternalSecret; a template without a type is believed. Nobody looks into the secrets: which registry
#   they are for is not known.
#
#   Images of init containers, native sidecars, ephemeral containers and image volumes count. As long as
#   `registries` is empty, every workload is a finding that says so.
#
#   # Why
#
#   Without its secret a pod waits in ImagePullBackOff. It may start all the same on nodes that still
#   have the image, and fail only when the next node is added.
#
#   # Parameters
#
#   - `registries`: the registries that ask for a login. A pattern names an image, or a registry or
#     folder with all that is in it: `ghcr.io/acme`, `*.azurecr.io`. `*` is one step between slashes or a
#     part of one. Default: `[]`.
#
#   # How to fix
#
#   ```yaml
#   kind: Deployment
#   spec:
#     template:
#       spec:
#         imagePullSecrets: [{name: ghcr}]
#   ```
#
#   and a SealedSecret or ExternalSecret of that name beside it, or the declaration of a Secret under
#   `external:` in `stagegate.yaml` where something else creates it.
#
#   # Controls
#
#   - Kubernetes documentation: Pull an Image from a Private Registry
# custom:
#   severity: medium
#   scope: stage
#   enforcement: "off"
#   matches: [Workload]
#   help: name a pull secret in imagePullSecrets of the pod or its ServiceAccount, and add it to the stage
#   parameters:
#     registries:
#       type: array
#       items:
#         type: string
#         minLength: 1
#         pattern: '^[A-Za-z0-9._-]*(\*[A-Za-z0-9._-]+)*\*?(:[0-9]+)?(/[A-Za-z0-9._-]*(\*[A-Za-z0-9._-]+)*\*?)*$'
#       default: []
#       description: the registries that ask for a login, as globs
package stagegate.image_pull_secret

import data.stagegate.lib.workload

violation contains object.union(problem, {"pointer": pointer, "related": related}) if {
	pod := workload.spec(input.review)
	images := _private_images(pod)
	count(images) > 0
	[secrets, field] := _named(pod)
	not _one_is_usable(secrets)
	problem := _problem(pod, secrets, _registries(images))
	pointer := concat("/", [workload.pointer(input.review), field])
	related := [{"pointer": at, "message": concat(" ", ["image", name])} | some [name, at] in images]
}

violation contains {"msg": msg, "pointer": pointer} if {
	count(input.parameters.registries) == 0
	workload.spec(input.review)
	msg := "nothing says which registries ask for a login, because the parameter \"registries\" is empty"
	pointer := workload.pointer(input.review)
}

# Every image of the pod that is of a private registry, as [name, pointer].
_private_images(pod) := array.concat(
	[[name, pointer] |
		some [list, i, container] in workload.containers(pod)
		name := _private_image(container.image)
		pointer := workload.at(input.review, list, i, "image")
	],
	[[name, pointer] |
		some i
		name := _private_image(pod.volumes[i].image.reference)
		pointer := workload.at(input.review, "volumes", i, "image/reference")
	],
)

_private_image(reference) := name if {
	is_string(reference)
	name := workload.image_name(reference)
	workload.image_matches(name, input.parameters.registries)
}

_registries(images) := concat(", ", sort({split(name, "/")[0] | some [name, _] in images}))

# The pull secrets of a pod, and the field that says so. The ServiceAccount's count where the pod has none.
# Source: Admit in plugin/pkg/admission/serviceaccount/admission.go.
_named(pod) := [_names(pod.imagePullSecrets), "imagePullSecrets"] if {
	pod.imagePullSecrets[0]
} else := [names, "serviceAccountName"] if {
	names := [name |
		some account in _accounts(pod)
		some name in _names(account.imagePullSecrets)
	]
	count(names) > 0
} else := [[], "imagePullSecrets"]

_names(references) := [name |
	some i
	name := references[i].name
	is_string(name)
]

_accounts(pod) := [account |
	some i
	account := data.index.by_name.ServiceAccount[input.review.namespace][_account(pod)][i]
	account.apiVersion == "v1"
]

_account(pod) := pod.serviceAccountName if {
	workload.is_set(pod.serviceAccountName)
} else := pod.serviceAccount if {
	workload.is_set(pod.serviceAccount)
} else := "default"

_problem(pod, secrets, registries) := {"msg": msg} if {
	count(secrets) == 0
	count(_accounts(pod)) > 0
	msg := _msg(registries, sprintf(`neither the pod nor its ServiceAccount "%v" names one`, [_account(pod)]))
} else := {"msg": msg, "missing": true} if {
	count(secrets) == 0
	msg := _msg(registries, sprintf(`neither the pod nor a ServiceAccount "%v" names one`, [_account(pod)]))
} else := {"msg": msg} if {
	types := [_unfit_type(secret) | some secret in secrets]
	count(types) == count(secrets)
	msg := _msg(registries, sprintf(`"%s" is of type %v`, [secrets[0], types[0]]))
} else := {"msg": msg, "missing": true} if {
	count(secrets) == 1
	msg := _msg(registries, sprintf(`"%s" does not exist`, [secrets[0]]))
} else := {"msg": msg, "missing": true} if {
	msg := _msg(registries, sprintf(`none of "%s" can be used`, [concat(`", "`, secrets)]))
}

_msg(registries, why) := sprintf("images of %s need a pull secret, but %s", [registries, why])

_one_is_usable(secrets) if {
	some secret in secrets
	some type in _types(secret)
	_is_fit(type)
}

_unfit_type(secret) := min(types) if {
	types := _types(secret)
	count(types) > 0
}

# The kubelet takes no other type. Empty where it is not known.
# Source: MakeDockerKeyring in pkg/credentialprovider/secrets.
_is_fit(type) if type in {"", "kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"}

# The types of what is, or becomes, a Secret of this name in the namespace.
_types(name) := (({type |
	some i
	secret := data.index.by_name.Secret[input.review.namespace][name][i]
	secret.apiVersion == "v1"
	type := _secret_type(secret)
} | {type |
	some i
	sealed := data.index.by_name.SealedSecret[input.review.namespace][name][i]
	startswith(sealed.apiVersion, "bitnami.com/")
	type := _template_type(sealed.spec)
}) | {type |
	some i
	external := data.index.by_kind.ExternalSecret[input.review.namespace][i]
	startswith(external.apiVersion, "external-secrets.io/")
	_target_name(external.spec, external.metadata.name) == name
	type := _target_type(external.spec)
}) | {type |
	some i
	external := data.index.by_kind.ClusterExternalSecret[_][i]
	startswith(external.apiVersion, "external-secrets.io/")
	_target_name(external.spec.externalSecretSpec, _created_name(external)) == name
	type := _target_type(external.spec.externalSecretSpec)
}

# A Secret without data says nothing about what will be in it.
_secret_type(secret) := "" if {
	not secret.data
	not secret.stringData
	object.get(secret, "type", "Opaque") in {"Opaque", null}
} else := secret.type if {
	workload.is_set(secret.type)
} else := "Opaque"

_template_type(spec) := spec.template.type if {
	workload.is_set(spec.template.type)
} else := ""

_target_type(spec) := spec.target.template.type if {
	workload.is_set(spec.target.template.type)
} else := ""

_created_name(external) := external.spec.externalSecretName if {
	workload.is_set(external.spec.externalSecretName)
} else := external.metadata.name

# Undefined where the Secret must already be there.
_target_name(spec, own_name) := name if {
	not _creates_none(spec)
	name := _target(spec, own_name)
}

_creates_none(spec) if spec.target.creationPolicy in {"None", "Merge"}

_target(spec, own_name) := spec.target.name if {
	workload.is_set(spec.target.name)
} else := own_name
