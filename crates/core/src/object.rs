//! Kubernetes objects.

use std::fmt;
use std::sync::Arc;

use crate::{FileId, Mark, Node, PodTemplate, Pointer, pod_template};

/// One Kubernetes object, its name tags, and how it came to be.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object as it will be sent to the API server.
    pub node: Node,
    /// What the object is called.
    pub reference: ObjectRef,
    /// What shaped the object; equal for all objects of one file.
    pub origin: Arc<Origin>,
    /// What an overlay took out of the object, with the place of the field that did.
    pub removed: Vec<(Pointer, Mark)>,
    /// Places of values that an overlay set, with the places of those that they replaced.
    pub overridden: Vec<(Mark, Mark)>,
    /// What the object is called in the file that it stands in, where an overlay renamed it or
    /// moved it to another namespace.
    pub source: Option<Box<ObjectRef>>,
}

impl Object {
    /// An object that stands in no file, or in one as it is. `None` where `apiVersion` or `kind`
    /// is missing.
    pub fn new(node: Node, origin: Arc<Origin>) -> Option<Object> {
        let reference = ObjectRef::of(&node)?;
        Some(Object {
            node,
            reference,
            origin,
            removed: Vec::new(),
            overridden: Vec::new(),
            source: None,
        })
    }

    /// The namespace that the object is in.
    pub fn namespace(&self) -> Namespace<'_> {
        match self.reference.namespace.as_deref() {
            Some(name) => Namespace::Named(name),
            None => Namespace::Unknown(&self.origin.root),
        }
    }

    /// Whether two objects are in one namespace. One that is unknown is the same for all of a
    /// render root, and the same as `default` there.
    pub fn shares_namespace(&self, other: &Object) -> bool {
        let in_one_root = self.origin.root == other.origin.root;
        match (self.namespace(), other.namespace()) {
            (Namespace::Named(a), Namespace::Named(b)) => a == b,
            (Namespace::Unknown(a), Namespace::Unknown(b)) => a == b,
            (Namespace::Named(name), Namespace::Unknown(_))
            | (Namespace::Unknown(_), Namespace::Named(name)) => name == "default" && in_one_root,
        }
    }

    /// Whether two objects are one to the cluster: equal group, kind and name, in one namespace
    /// where the kind has namespaces.
    pub fn is_same_as(&self, other: &Object) -> bool {
        let (a, b) = (&self.reference, &other.reference);
        // What the API server will name is never the same.
        let is_named = |object: &Object| {
            let name = object.node.path(&["metadata", "name"]);
            name.is_some_and(|name| name.as_str() != Some(""))
        };
        a.name == b.name
            && is_named(self)
            && is_named(other)
            && a.kind == b.kind
            && a.group() == b.group()
            && (a.is_cluster_scoped() || self.shares_namespace(other))
    }

    /// The pod that the object runs: see [`pod_template`].
    pub fn pod_template(&self) -> Option<PodTemplate<'_>> {
        let reference = &self.reference;
        pod_template(&self.node, &reference.api_version, &reference.kind)
    }

    /// A label's holder: `metadata.labels`, which may be absent.
    pub fn labels(&self) -> crate::Labels<'_> {
        crate::Labels::of(self.node.path(&["metadata", "labels"]))
    }

    /// The text of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.node.path(&["metadata", "annotations", key])?.as_str()
    }

    /// What the object is called where it was written.
    pub fn source(&self) -> &ObjectRef {
        self.source.as_deref().unwrap_or(&self.reference)
    }
}

/// What an object is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `apps/v1`; core objects have no group: `v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// The namespace, where the object names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name, or `generateName` where only that is given; may be empty.
    pub name: String,
}

/// The chain of files that shaped an object, and what put them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `plain`, `kustomize`, …
    pub renderer: &'static str,
    /// From the root that was rendered to the file in which the object stands.
    pub chain: Vec<FileId>,
    /// The render root. Objects that name no namespace share one with those of their root, and
    /// with no others.
    pub root: String,
}

/// The namespace that an object is in, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespace<'a> {
    /// Written, or given by a renderer.
    Named(&'a str),
    /// Whatever is given to what this render root holds.
    Unknown(&'a str),
}

impl<'a> Namespace<'a> {
    /// Its name: `default` where nobody gives one, as in a cluster.
    pub fn name(self) -> &'a str {
        match self {
            Namespace::Named(name) => name,
            Namespace::Unknown(_) => "default",
        }
    }
}

/// Kinds without namespaces, by group. Source: `kubectl api-resources --namespaced=false` of
/// Kubernetes 1.36, and the projects' own definitions.
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    (
        "",
        &["Namespace", "Node", "PersistentVolume", "ComponentStatus"],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("certificates.k8s.io", &["CertificateSigningRequest"]),
    ("cert-manager.io", &["ClusterIssuer"]),
    ("cilium.io", &["CiliumClusterwideNetworkPolicy"]),
    (
        "external-secrets.io",
        &["ClusterSecretStore", "ClusterExternalSecret"],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        &["FlowSchema", "PriorityLevelConfiguration"],
    ),
    ("gateway.networking.k8s.io", &["GatewayClass"]),
    ("kyverno.io", &["ClusterPolicy", "ClusterCleanupPolicy"]),
    (
        "networking.k8s.io",
        &["IngressClass", "IPAddress", "ServiceCIDR"],
    ),
    ("node.k8s.io", &["RuntimeClass"]),
    ("policy", &["PodSecurityPolicy"]),
    ("projectcalico.org", &["GlobalNetworkPolicy"]),
    ("crd.projectcalico.org", &["GlobalNetworkPolicy"]),
    (
        "rbac.authorization.k8s.io",
        &["ClusterRole", "ClusterRoleBinding"],
    ),
    ("resource.k8s.io", &["DeviceClass", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"],
    ),
    ("templates.gatekeeper.sh", &["ConstraintTemplate"]),
];

impl ObjectRef {
    /// Reads the name tags of an object. `None` where `apiVersion` or `kind` is missing.
    pub fn of(node: &Node) -> Option<ObjectRef> {
        let text = |key: &str| node.get(key)?.as_str().filter(|s| !s.is_empty());
        let metadata = |key: &str| {
            node.get("metadata")?
                .get(key)?
                .as_str()
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
        };
        Some(ObjectRef {
            api_version: text("apiVersion")?.to_owned(),
            kind: text("kind")?.to_owned(),
            namespace: metadata("namespace"),
            name: metadata("name")
                .or_else(|| metadata("generateName"))
                .unwrap_or_default(),
        })
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        crate::group_of(&self.api_version)
    }

    /// The version within the API group.
    pub fn version(&self) -> &str {
        self.api_version
            .split_once('/')
            .map_or(self.api_version.as_str(), |(_, version)| version)
    }

    /// Whether objects of this kind are in no namespace. Only of Kubernetes' own kinds, and of the
    /// best known others, is that known.
    pub fn is_cluster_scoped(&self) -> bool {
        CLUSTER_SCOPED
            .iter()
            .any(|(group, kinds)| *group == self.group() && kinds.contains(&self.kind.as_str()))
    }
}

impl fmt::Display for ObjectRef {
    /// `Deployment shop/api`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(if self.name.is_empty() {
            "(without a name)"
        } else {
            &self.name
        })
    }
}
