//! The order of types and of the output.

use super::id::Id;
use super::id::Type;
use super::resource::Resource;
use super::spec::{Order, SortOptions};

/// Kinds that come first, in this order. Source: kustomize's legacy order.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
/// Kinds that come last.
const LAST: [&str; 2] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Where a kind stands: below zero for those that come first, above for those that come last. The
/// last mention counts.
fn place<S: AsRef<str>>(kind: &str, first: &[S], last: &[S]) -> isize {
    let at = |list: &[S]| {
        list.iter()
            .rposition(|k| k.as_ref() == kind)
            .and_then(|i| isize::try_from(i).ok())
    };
    let length = isize::try_from(first.len()).unwrap_or_default();
    match (at(last), at(first)) {
        (Some(i), _) => i + 1,
        (None, Some(i)) => i - length,
        (None, None) => 0,
    }
}

/// The order of types, as of field specifications.
pub(crate) fn rank(of: &Type) -> (isize, String) {
    (place(&of.kind, &FIRST, &LAST), name(of))
}

/// Group, version and kind as kustomize compares them.
fn name(of: &Type) -> String {
    let or = |part: &str, absent: &str| -> String {
        if part.is_empty() { absent } else { part }.to_owned()
    };
    format!(
        "{}_{}_{}",
        or(&of.group, "~G"),
        or(&of.version, "~V"),
        or(&of.kind, "~K")
    )
}

/// Sorts the output; by default into the legacy order, as `kubectl kustomize` and `kustomize build`
/// do.
pub(crate) fn sort(resources: &mut [Resource], options: Option<&SortOptions>) {
    match options {
        Some(SortOptions {
            order: Order::Fifo, ..
        }) => {}
        Some(SortOptions {
            legacy: Some((first, last)),
            ..
        }) => {
            resources.sort_by_cached_key(|r| key(&r.id(), first, last));
        }
        _ => resources.sort_by_cached_key(|r| key(&r.id(), &FIRST, &LAST)),
    }
}

/// Namespaces of other groups than Kubernetes' own come before its own.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    place: isize,
    of: TypeName,
    rest: String,
}

#[derive(PartialEq, Eq)]
struct TypeName {
    name: String,
    is_namespace: bool,
    has_group: bool,
}

impl Ord for TypeName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let order = self.name.cmp(&other.name);
        let turned =
            self.is_namespace && other.is_namespace && !(self.has_group && other.has_group);
        if turned { order.reverse() } else { order }
    }
}

impl PartialOrd for TypeName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn key<S: AsRef<str>>(id: &Id, first: &[S], last: &[S]) -> Key {
    let namespace = if id.namespace.is_empty() {
        "~X"
    } else {
        &id.namespace
    };
    let name_of = if id.name.is_empty() { "~N" } else { &id.name };
    Key {
        place: place(&id.of.kind, first, last),
        of: TypeName {
            name: name(&id.of),
            is_namespace: id.of.kind == "Namespace",
            has_group: !id.of.group.is_empty(),
        },
        rest: format!("{}|{namespace}|{name_of}", id.of),
    }
}
