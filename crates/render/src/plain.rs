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
    pub others: Vec<Node>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Something in it may be read differently by another program.
    pub ambiguous: bool,
}

/// Reads a file of manifests; `root` is the folder that it is deployed with.
pub fn read(file: FileId, source: &Source, profile: Profile, root: &str) -> PlainFile {
    let format = if source.path.ends_with(".json") {
        Format::Json
    } else {
        Format::Yaml
    };
    let loaded = load(file, source, format, profile);
    let origin = Arc::new(Origin {
        renderer: "plain",
        chain: vec![file],
        root: root.to_owned(),
    });
    let mut result = PlainFile {
        problems: loaded.problems,
        ambiguous: loaded.ambiguous,
        ..PlainFile::default()
    };
    for document in loaded.documents {
        let is_list = document.get("items").is_some()
            && document
                .get("kind")
                .and_then(Node::as_str)
                .is_some_and(|k| k.ends_with("List"));
        for node in expand_list(document) {
            if ObjectRef::of(&node).is_some() {
                result
                    .objects
                    .extend(Object::new(node, Arc::clone(&origin)));
                continue;
            }
            let problem = if is_list {
                Some(not_an_object(&node))
            } else {
                half_an_object(&node)
            };
            result.problems.extend(problem);
            result.others.push(node);
        }
    }
    // Beside objects nothing else may stand: the rest of one that a stray `---` cut off, say.
    if !result.objects.is_empty() {
        for other in &result.others {
            if !result.problems.iter().any(|p| p.mark == other.mark) {
                result.problems.push(not_an_object(other));
            }
        }
    }
    let unexpanded = |o: &Object| o.reference.kind == "List" && o.reference.api_version == "v1";
    if let Some(list) = result.objects.iter().find(|o| unexpanded(o)) {
        let mut problem = not_an_object(&list.node);
        problem.message = "a List whose items are no list: kubectl refuses it".to_owned();
        result.problems.push(problem);
    }
    result
}

/// A document that was meant as an object, by its members: what kubectl would refuse must not look
/// like data that nobody meant to apply.
fn half_an_object(node: &Node) -> Option<Problem> {
    let is_map = |key: &str| {
        node.get(key)
            .is_some_and(|m| matches!(m.value, Value::Object(_)))
    };
    let has = |key: &str| node.get(key).is_some();
    let meant = is_map("metadata") && (has("apiVersion") || has("kind") || is_map("spec"));
    meant.then(|| not_an_object(node))
}

fn not_an_object(node: &Node) -> Problem {
    let text = |key: &str| {
        node.get(key)
            .and_then(Node::as_str)
            .is_some_and(|t| !t.is_empty())
    };
    let lacks = match (text("apiVersion"), text("kind")) {
        (true, false) => "kind",
        (false, true) => "apiVersion",
        _ => "apiVersion and kind",
    };
    Problem {
        mark: node.mark,
        message: format!("this is no object, for it has no {lacks}: kubectl refuses it"),
        kind: ProblemKind::Unreadable,
    }
}
