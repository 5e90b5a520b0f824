# METADATA
# title: Services run more than one replica
# description: |
#   # What it checks
#
#   What is of a kind in `kinds` runs at least `minimum` replicas. What counts is how many run at the
#   least: the minimum of the HorizontalPodAutoscaler or KEDA ScaledObject of the same namespace that
#   scales the workload (1 and 0 where they set none), else its `replicas`, else 1. So an autoscaled
#   Deployment leaves `replicas` out, and its autoscaler has to say enough.
#
#   What is scaled to zero is switched off, and is not asked unless `zero` is `false`.
#
#   # Why
#
#   A single replica is down whenever its node is drained, its image is pulled or its process ends.
#
#   # Parameters
#
#   - `minimum`: how many replicas must run at the least. Default: `2`.
#   - `kinds`: the kinds that are asked, of Deployment, Rollout and StatefulSet. Default:
#     `[Deployment, Rollout]`.
#   - `zero`: `false` makes it a finding that something is scaled to zero. Default: `true`.
#
#   # How to fix
#
#   ```yaml
#   kind: Deployment
#   spec:
#     replicas: 2
#   ```
#
#   Where an autoscaler sets the number, leave `replicas` out and set the `minReplicas` of the
#   HorizontalPodAutoscaler or the `minReplicaCount` of the ScaledObject.
#
#   # Controls
#
#   - Kubernetes documentation: Deployments
# custom:
#   severity: medium
#   scope: stage
#   enforcement: "off"
#   matches: ["apps/*/Deployment", "extensions/*/Deployment", "apps/*/StatefulSet", "argoproj.io/*/Rollout"]
#   help: set replicas, or the minimum of the autoscaler, to at least the minimum
#   parameters:
#     minimum:
#       type: integer
#       minimum: 1
#       maximum: 2147483647
#       default: 2
#       description: how many replicas must run at the least
#     kinds:
#       type: array
#       items: {enum: [Deployment, Rollout, StatefulSet]}
#       minItems: 1
#       default: [Deployment, Rollout]
#       description: the kinds that are asked
#     zero:
#       type: boolean
#       default: true
#       description: lets workloads be scaled to zero
package stagegate.replicas

import data.stagegate.lib.workload

violation contains {"msg": msg, "pointer": "/spec/replicas"} if {
	written := _written(input.review.object.spec)
	input.review.kind.kind in input.parameters.kinds
	[replicas, whose] := _effective(written)
	replicas < input.parameters.minimum
	not _is_off(replicas)
	msg := sprintf("%s, fewer than %d", [whose, input.parameters.minimum])
}

violation contains {"msg": msg, "pointer": "/spec/replicas"} if {
	written := input.review.object.spec.replicas
	workload.is_set(written)
	not is_number(written)
	input.review.kind.kind in input.parameters.kinds
	msg := sprintf("replicas %v is not a number", [written])
}

# Undefined where it is no number.
_written(spec) := replicas if {
	replicas := spec.replicas
	is_number(replicas)
} else := 1 if {
	not _is_written(spec)
}

_is_written(spec) if workload.is_set(spec.replicas)

_is_off(replicas) if {
	replicas == 0
	input.parameters.zero == true
}

# How many replicas run at the least, and who says so.
_effective(written) := [replicas, whose] if {
	[replicas, kind, name] := min(_autoscalers(written))
	whose := sprintf(`%s "%v" keeps %s at the least`, [kind, name, _count(replicas)])
} else := [written, concat(" ", ["runs", _count(written)])]

_count(replicas) := "1 replica" if {
	replicas == 1
} else := sprintf("%v replicas", [replicas])

# Those that scale the workload, as [minimum, kind, name].
_autoscalers(written) := array.concat(hpas, scaled_objects) if {
	# Zero replicas switch a HorizontalPodAutoscaler off.
	hpas := [[minimum, "HorizontalPodAutoscaler", hpa.metadata.name] |
		written != 0
		some i
		hpa := data.index.by_kind.HorizontalPodAutoscaler[input.review.namespace][i]
		startswith(hpa.apiVersion, "autoscaling/")
		_scales(hpa.spec.scaleTargetRef, null)
		minimum := _minimum(hpa.spec, "minReplicas", 1)
	]
	scaled_objects := [[minimum, "ScaledObject", scaled.metadata.name] |
		some i
		scaled := data.index.by_kind.ScaledObject[input.review.namespace][i]
		startswith(scaled.apiVersion, "keda.sh/")
		_scales(scaled.spec.scaleTargetRef, "Deployment")
		minimum := _minimum(scaled.spec, "minReplicaCount", 0)
	]
}

_minimum(spec, field, default_minimum) := spec[field] if {
	is_number(spec[field])
} else := default_minimum

# Whether a scaleTargetRef means the object under review.
_scales(ref, default_kind) if {
	ref.name == input.review.object.metadata.name
	_kind(ref, default_kind) == input.review.kind.kind
	_group_fits(ref)
}

_kind(ref, default_kind) := kind if {
	kind := ref.kind
	kind != null
} else := default_kind

_group_fits(ref) if {
	not ref.apiVersion
} else if {
	is_string(ref.apiVersion)
	split(ref.apiVersion, "/")[0] == input.review.kind.group
}
