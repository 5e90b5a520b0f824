//! What runs containers, and where its pod template stands.

use crate::{Cursor, GroupKind, Node};

/// The kinds that run containers: anything with a pod template, or a Pod itself.
///
/// Groups are not versions: a Deployment of the removed group `extensions` is one too.
pub const WORKLOAD_KINDS: &[GroupKind] = &[
    GroupKind::new("", "Pod"),
    GroupKind::new("", "ReplicationController"),
    GroupKind::new("apps", "Deployment"),
    GroupKind::new("apps", "StatefulSet"),
    GroupKind::new("apps", "DaemonSet"),
    GroupKind::new("apps", "ReplicaSet"),
    GroupKind::new("extensions", "Deployment"),
    GroupKind::new("extensions", "DaemonSet"),
    GroupKind::new("extensions", "ReplicaSet"),
    GroupKind::new("batch", "Job"),
    GroupKind::new("batch", "CronJob"),
    GroupKind::new("argoproj.io", "Rollout"),
];

/// The API group of an `apiVersion`; empty for the core group.
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The pod that a workload runs.
#[derive(Clone, Copy)]
pub struct PodTemplate<'a> {
    /// The workload.
    object: &'a Node,
    /// The way from the object to the pod's `spec`.
    path: &'static [&'static str],
}

/// What kind of container one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKind {
    /// One of `containers`.
    Main,
    /// One of `initContainers` that must end before the next starts.
    Init,
    /// One of `initContainers` with `restartPolicy: Always`, which keeps running.
    Sidecar,
}

/// A container of a pod.
pub struct Container<'a> {
    /// What kind it is.
    pub kind: ContainerKind,
    /// Its name; empty where it has none.
    pub name: &'a str,
    /// Where it stands.
    pub cursor: Cursor<'a>,
}

/// The pod that an object of this `apiVersion` and kind runs. `None` where the kind is no
/// workload, or where it has no template: a Rollout with `workloadRef` takes that of a
/// Deployment, which is judged itself.
pub fn pod_template<'a>(
    object: &'a Node,
    api_version: &str,
    kind: &str,
) -> Option<PodTemplate<'a>> {
    let group = group_of(api_version);
    if !WORKLOAD_KINDS
        .iter()
        .any(|k| k.group == group && k.kind == kind)
    {
        return None;
    }
    let path: &'static [&'static str] = match kind {
        "Pod" => &["spec"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        _ => &["spec", "template", "spec"],
    };
    object.path(path)?;
    Some(PodTemplate { object, path })
}

fn descend(cursor: &Cursor<'_>, path: &[&str], f: &mut dyn FnMut(&Cursor<'_>)) {
    match path {
        [] => f(cursor),
        [first, rest @ ..] => descend(&cursor.member(first), rest, f),
    }
}

impl<'a> PodTemplate<'a> {
    /// Calls `f` with the place of the pod's `spec`.
    pub fn with_spec(&self, f: &mut dyn FnMut(&Cursor<'_>)) {
        descend(&Cursor::root(self.object), self.path, f);
    }

    /// The pod's labels, as far as they are written.
    pub fn labels(&self) -> Option<&'a Node> {
        self.object
            .path(self.parent())?
            .path(&["metadata", "labels"])
    }

    /// Calls `f` with the place of the pod's labels.
    pub fn with_labels(&self, f: &mut dyn FnMut(&Cursor<'_>)) {
        let mut path = self.parent().to_vec();
        path.extend(["metadata", "labels"]);
        descend(&Cursor::root(self.object), &path, f);
    }

    /// The way to what holds the pod's `spec` and `metadata`.
    fn parent(&self) -> &'static [&'static str] {
        &self.path[..self.path.len() - 1]
    }

    /// The pod's `spec`.
    pub fn spec(&self) -> Option<&'a Node> {
        self.object.path(self.path)
    }
}

impl<'a> Container<'a> {
    /// Calls `f` with each container of a pod's `spec`, init containers and native sidecars
    /// first; ephemeral containers are not among them.
    pub fn for_each(spec: &Cursor<'_>, mut f: impl FnMut(&Container<'_>)) {
        for list in ["initContainers", "containers"] {
            let list_cursor = spec.member(list);
            for cursor in list_cursor.items() {
                let node = cursor.node();
                let text = |key: &str| node.and_then(|n| n.get(key)).and_then(Node::as_str);
                let kind = match (list, text("restartPolicy")) {
                    ("containers", _) => ContainerKind::Main,
                    (_, Some("Always")) => ContainerKind::Sidecar,
                    _ => ContainerKind::Init,
                };
                f(&Container {
                    kind,
                    name: text("name").unwrap_or_default(),
                    cursor,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(json: &str) -> Node {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn kinds_are_told_by_group_and_a_rollout_may_have_no_template() {
        let object = node(r#"{"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}"#);
        assert!(pod_template(&object, "apps/v1", "Deployment").is_some());
        assert!(pod_template(&object, "extensions/v1beta1", "Deployment").is_some());
        assert!(pod_template(&object, "argoproj.io/v1alpha1", "Rollout").is_some());
        assert!(pod_template(&object, "example.com/v1", "Deployment").is_none());
        assert!(pod_template(&object, "v1", "Deployment").is_none());
        let reference = node(r#"{"spec": {"workloadRef": {"kind": "Deployment", "name": "a"}}}"#);
        assert!(pod_template(&reference, "argoproj.io/v1alpha1", "Rollout").is_none());
    }

    #[test]
    fn containers_are_found_with_their_kind_and_place() {
        let pod = node(
            r#"{"spec": {
                "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
                "containers": [{"name": "m", "restartPolicy": "Always"}],
                "ephemeralContainers": [{"name": "e"}]}}"#,
        );
        let template = pod_template(&pod, "v1", "Pod").unwrap();
        let mut found = Vec::new();
        template.with_spec(&mut |spec| {
            Container::for_each(spec, |c| {
                found.push((c.kind, c.cursor.pointer().to_string()));
            });
        });
        assert_eq!(
            found,
            [
                (ContainerKind::Init, "/spec/initContainers/0".to_owned()),
                (ContainerKind::Sidecar, "/spec/initContainers/1".to_owned()),
                (ContainerKind::Main, "/spec/containers/0".to_owned()),
            ]
        );
    }
}
