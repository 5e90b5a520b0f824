//! Plain manifests: what stands in a file is what the cluster gets.

use std::sync::Arc;

use stagegate_core::{FileId, Node, Object, ObjectRef, Origin, Value};
use stagegate_manifest::{Format, Problem, ProblemKind, Profile, Source, expand_list, load};

/// What a file of manifests holds.
#[derive(Debug, Default)]
pub struct PlainFile {
    /// The objects, lists taken apart.
    pub objects: Vec<Object>,
    /// The documents that are no object.
    pub others: Vec<Document>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A document that is no object.
#[derive(Debug)]
pub struct Document {
    /// Its value.
    pub node: Node,
}

/// Reads a file of manifests.
pub fn read(file: FileId, source: &Source, profile: Profile) -> PlainFile {
    let format = if source.path.ends_with(".json") {
        Format::Json
    } else {
        Format::Yaml
    };
    let loaded = load(file, source, format, profile);
    let origin = Arc::new(Origin {
        renderer: "plain",
        chain: vec![file],
    });
    let mut result = PlainFile {
        problems: loaded.problems,
        ..PlainFile::default()
    };
    for node in loaded.documents.into_iter().flat_map(expand_list) {
        if ObjectRef::of(&node).is_some() {
            result
                .objects
                .extend(Object::new(node, Arc::clone(&origin)));
        } else {
            result.problems.extend(half_an_object(&node));
            result.others.push(Document { node });
        }
    }
    result
}

/// A document with `metadata` and one of `apiVersion` and `kind` was meant as an object: what
/// kubectl would refuse must not look like data that nobody meant to apply.
fn half_an_object(node: &Node) -> Option<Problem> {
    node.get("metadata")
        .filter(|m| matches!(m.value, Value::Object(_)))?;
    let (present, missing) = match (node.get("apiVersion"), node.get("kind")) {
        (Some(_), None) => ("apiVersion", "kind"),
        (None, Some(_)) => ("kind", "apiVersion"),
        _ => return None,
    };
    Some(Problem {
        mark: node.mark,
        message: format!("has metadata and {present} but no {missing}: kubectl refuses it"),
        kind: ProblemKind::Unreadable,
    })
}
