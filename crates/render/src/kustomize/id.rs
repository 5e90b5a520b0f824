//! What tells objects apart: group, version, kind, namespace and name.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use stagegate_core::{Node, Str, Value, group_of};

/// Kinds outside of namespaces, as kustomize knows them: group, version, kind. Others are taken for
/// namespaced.
static CLUSTER_SCOPED: LazyLock<HashSet<(&str, &str, &str)>> = LazyLock::new(|| {
    let lines = include_str!("../../data/scopes.txt").lines();
    let types = lines.filter_map(|l| l.strip_prefix("cluster ")?.split_once(' '));
    let types = types.map(|(api_version, kind)| {
        let (group, version) = split(api_version);
        (group, version, kind)
    });
    types.collect()
});

/// The namespace of what is in none.
pub(crate) const NO_NAMESPACE: &str = "_non_namespaceable_";

/// A type, or a pattern of types in which an empty part fits all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Type {
    pub(crate) group: Str,
    pub(crate) version: Str,
    pub(crate) kind: Str,
}

impl Type {
    pub(crate) fn of(node: &Node) -> Type {
        let api_version = string(node, "apiVersion");
        let (group, version) = split(api_version);
        Type {
            group: group.into(),
            version: version.into(),
            kind: string(node, "kind").into(),
        }
    }

    /// Whether a pattern fits.
    pub(crate) fn fits(&self, pattern: &Type) -> bool {
        let fits = |wanted: &Str, actual: &Str| wanted.is_empty() || wanted == actual;
        fits(&pattern.group, &self.group)
            && fits(&pattern.version, &self.version)
            && fits(&pattern.kind, &self.kind)
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub(crate) fn is_cluster_scoped(&self) -> bool {
        CLUSTER_SCOPED.contains(&(
            self.group.as_str(),
            self.version.as_str(),
            self.kind.as_str(),
        ))
    }
}

/// Group and version of an `apiVersion`.
pub(crate) fn split(api_version: &str) -> (&str, &str) {
    let group = group_of(api_version);
    let version = api_version.split_once('/').map_or(api_version, |(_, v)| v);
    (group, version)
}

fn string<'n>(node: &'n Node, key: &str) -> &'n str {
    node.get(key).and_then(Node::as_str).unwrap_or_default()
}

impl fmt::Display for Type {
    /// `Deployment.v1.apps`, as in kustomize's messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |part: &Str, absent: &'static str| -> String {
            if part.is_empty() {
                absent.to_owned()
            } else {
                part.to_string()
            }
        };
        write!(
            f,
            "{}.{}.{}",
            or(&self.kind, "[noKind]"),
            or(&self.version, "[noVer]"),
            or(&self.group, "[noGrp]")
        )
    }
}

/// What an object is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) of: Type,
    pub(crate) name: Str,
    /// As it is written; may be empty.
    pub(crate) namespace: Str,
}

impl Id {
    pub(crate) fn of(node: &Node) -> Id {
        let metadata = |key: &str| match node.get("metadata").and_then(|m| m.get(key)) {
            Some(node) => match &node.value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string().into(),
                Value::Bool(b) => b.to_string().into(),
                _ => Str::default(),
            },
            None => Str::default(),
        };
        Id {
            of: Type::of(node),
            name: metadata("name"),
            namespace: metadata("namespace"),
        }
    }

    /// The namespace that tells objects apart: `default` where none is written.
    pub(crate) fn effective_namespace(&self) -> &str {
        if self.of.is_cluster_scoped() {
            NO_NAMESPACE
        } else {
            effective(&self.namespace)
        }
    }

    /// The same with the namespace that tells it apart.
    pub(crate) fn key(mut self) -> Id {
        self.namespace = self.effective_namespace().into();
        self
    }
}

/// What a namespace that may be empty means for what is in one.
pub(crate) fn effective(namespace: &str) -> &str {
    if namespace.is_empty() {
        "default"
    } else {
        namespace
    }
}

impl fmt::Display for Id {
    /// `Deployment.v1.apps/api.shop`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() {
            "[noName]"
        } else {
            &self.name
        };
        let namespace = if self.namespace.is_empty() {
            "[noNs]"
        } else {
            &self.namespace
        };
        write!(f, "{}/{name}.{namespace}", self.of)
    }
}
