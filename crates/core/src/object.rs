//! Kubernetes objects.

use std::fmt;
use std::sync::Arc;

use crate::{FileId, Mark, Node, Pointer};

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
            source: None,
        })
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
}

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
