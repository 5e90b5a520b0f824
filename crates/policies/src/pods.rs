//! What several policies ask about workloads: their pods' labels, and how many there are.

use stagegate_core::{Context, Cursor, GroupKind, Labels, Node, Object, Violation, group_of};

/// What has the template that a Rollout may name instead of its own.
pub(crate) const TEMPLATE: GroupKind = GroupKind::new("apps", "Deployment");
/// What says how many pods of a workload there are.
pub(crate) const SCALERS: [GroupKind; 2] = [
    GroupKind::new("autoscaling", "HorizontalPodAutoscaler"),
    GroupKind::new("keda.sh", "ScaledObject"),
];

/// The labels of the pods that a workload runs. `None` where the object runs none, or where they
/// are those of a Deployment that is not there.
pub(crate) fn pod_labels<'a>(cx: &Context<'a>, object: &'a Object) -> Option<Labels<'a>> {
    let reference = &object.reference;
    if reference.kind == "Pod" && reference.group().is_empty() {
        return Some(object.labels());
    }
    if workload_ref(object).is_some() {
        let template = template_of(cx, object);
        // Its own template, if it has one beside the name, is not what runs.
        let is_found = !std::ptr::eq(template, object);
        return if is_found {
            template_labels(template)
        } else {
            None
        };
    }
    let labels = template_labels(object)?;
    // The Job controller labels its pods with the Job's name.
    Some(if reference.kind == "Job" {
        let name = reference.name.as_str();
        labels
            .implying("job-name", name)
            .implying("batch.kubernetes.io/job-name", name)
    } else {
        labels
    })
}

/// The object whose pod template a workload takes: itself, or the Deployment that a Rollout names,
/// where that is there.
pub(crate) fn template_of<'a>(cx: &Context<'a>, object: &'a Object) -> &'a Object {
    let deployment = workload_ref(object).and_then(|name| {
        cx.named(TEMPLATE.group, TEMPLATE.kind, name)
            .find(|deployment| deployment.shares_namespace(object))
    });
    deployment.unwrap_or(object)
}

/// A violation about what does not select the pods of a workload: it stands at their labels.
pub(crate) fn at_pod_labels(object: &Object, message: String) -> Violation {
    let root = Cursor::root(&object.node);
    if workload_ref(object).is_some() {
        return Violation::at(&root.member("spec").member("workloadRef"), message);
    }
    if object.reference.kind == "Pod" {
        return Violation::at(&root.member("metadata").member("labels"), message);
    }
    let mut violation = None;
    if let Some(pod) = object.pod_template() {
        pod.with_labels(&mut |labels| violation = Some(Violation::at(labels, message.clone())));
    }
    violation.unwrap_or_else(|| Violation::at(&root, message))
}

fn template_labels(object: &Object) -> Option<Labels<'_>> {
    Some(Labels::of(object.pod_template()?.labels()))
}

/// The Deployment whose template a Rollout takes.
pub(crate) fn workload_ref(object: &Object) -> Option<&str> {
    let reference = object.node.path(&["spec", "workloadRef"])?;
    let is_rollout = object.reference.kind == "Rollout";
    let is_deployment = reference.get("kind").and_then(Node::as_str) == Some("Deployment");
    if is_rollout && is_deployment {
        reference.get("name")?.as_str()
    } else {
        None
    }
}

/// How many pods of a workload run at the least: the minimum of the autoscaler that scales it, else
/// its `replicas`, else 1.
pub(crate) fn effective_replicas<'a>(cx: &Context<'a>, object: &'a Object) -> i64 {
    let written = object
        .node
        .path(&["spec", "replicas"])
        .and_then(Node::as_i64);
    let scaling = |scaler: GroupKind| {
        let name = &object.reference.name;
        cx.with_text(
            object,
            (scaler.group, scaler.kind),
            &["spec", "scaleTargetRef", "name"],
            name,
        )
    };
    let [hpa, scaled_object] = SCALERS;
    let of_hpas = scaling(hpa)
        // Zero replicas switch a HorizontalPodAutoscaler off.
        .filter(|hpa| written != Some(0) && scales(hpa, object, None))
        .map(|hpa| minimum(hpa, "minReplicas", 1));
    let of_scaled_objects = scaling(scaled_object)
        .filter(|scaled| scales(scaled, object, Some("Deployment")))
        .map(|scaled| minimum(scaled, "minReplicaCount", 0));
    of_hpas
        .chain(of_scaled_objects)
        .min()
        .unwrap_or(written.unwrap_or(1))
}

fn minimum(scaler: &Object, key: &str, default: i64) -> i64 {
    scaler
        .node
        .path(&["spec", key])
        .and_then(Node::as_i64)
        .unwrap_or(default)
}

/// Whether an autoscaler that names a target of this name means this object.
fn scales(scaler: &Object, object: &Object, default_kind: Option<&str>) -> bool {
    let Some(target) = scaler.node.path(&["spec", "scaleTargetRef"]) else {
        return false;
    };
    let text = |key: &str| target.get(key).and_then(Node::as_str);
    text("kind").or(default_kind) == Some(&object.reference.kind)
        && text("apiVersion").is_none_or(|version| group_of(version) == object.reference.group())
}
