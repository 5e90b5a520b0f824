//! What is special about changes.

use crate::{Node, Operation, Review, Value};

/// Whether a request only finishes what is going anyway: an update of an object with a deletion
/// timestamp that takes finalizers or owner references away, or changes what the API server keeps
/// for itself. To stop that would keep the object from ever going.
///
/// Every other change of such an object is judged as usual: a finalizer must not be a way around
/// the policies (CVE-2023-34091 of another admission controller).
pub(crate) fn is_finishing(review: &Review<'_>) -> bool {
    let (Operation::Update, Some(new), Some(old)) =
        (review.operation, review.object, review.old_object)
    else {
        return false;
    };
    let going = |node: &Node| node.path(&["metadata", "deletionTimestamp"]).is_some();
    going(&new.node) && going(&old.node) && only_finishes(&new.node, &old.node)
}

fn only_finishes(new: &Node, old: &Node) -> bool {
    members(new, old).all(|key| match key {
        "status" => true,
        "metadata" => match (new.get(key), old.get(key)) {
            (Some(new), Some(old)) => metadata_only_finishes(new, old),
            _ => false,
        },
        key => new.get(key) == old.get(key),
    })
}

fn metadata_only_finishes(new: &Node, old: &Node) -> bool {
    members(new, old).all(|key| match key {
        "managedFields" | "resourceVersion" | "generation" => true,
        "finalizers" | "ownerReferences" => {
            let before = old.get(key).map_or(&[][..], Node::items);
            let after = new.get(key);
            let is_list = after.is_none_or(|list| matches!(list.value, Value::Array(_)));
            is_list
                && after
                    .map_or(&[][..], Node::items)
                    .iter()
                    .all(|item| before.contains(item))
        }
        key => new.get(key) == old.get(key),
    })
}

/// The names of the members of either.
fn members<'n>(new: &'n Node, old: &'n Node) -> impl Iterator<Item = &'n str> {
    new.entries()
        .iter()
        .chain(old.entries())
        .map(|entry| entry.key.as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::Object;

    fn finishing(new: serde_json::Value, old: serde_json::Value) -> bool {
        let object = |value| {
            let mut node: Node = serde_json::from_value(value).unwrap();
            let head: Node =
                serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod"})).unwrap();
            if let (Value::Object(map), Value::Object(head)) = (&mut node.value, head.value) {
                head.iter().for_each(|entry| map.insert(entry.clone()));
            }
            Object::new(node, Arc::default()).unwrap()
        };
        let (new, old) = (object(new), object(old));
        is_finishing(&Review {
            operation: Operation::Update,
            old_object: Some(&old),
            ..Review::create(&new)
        })
    }

    #[test]
    fn only_what_ends_an_object_is_let_through_unjudged() {
        let time = "2026-01-01T00:00:00Z";
        let old = json!({"metadata": {"deletionTimestamp": time, "finalizers": ["a", "b"]}, "spec": {"x": 1}});
        let with = |metadata: serde_json::Value| json!({"metadata": metadata, "spec": {"x": 1}});
        assert!(finishing(
            with(json!({"deletionTimestamp": time, "finalizers": ["b"]})),
            old.clone()
        ));
        assert!(finishing(
            with(json!({"deletionTimestamp": time})),
            old.clone()
        ));
        assert!(finishing(
            json!({"metadata": {"deletionTimestamp": time, "generation": 2, "resourceVersion": "9"},
                   "spec": {"x": 1}, "status": {"phase": "gone"}}),
            old.clone()
        ));
        for (what, metadata) in [
            (
                "another finalizer",
                json!({"deletionTimestamp": time, "finalizers": ["c"]}),
            ),
            (
                "a label",
                json!({"deletionTimestamp": time, "labels": {"a": "b"}}),
            ),
            (
                "another time",
                json!({"deletionTimestamp": "2027-01-01T00:00:00Z"}),
            ),
            ("not going any more", json!({"finalizers": ["a"]})),
        ] {
            assert!(!finishing(with(metadata), old.clone()), "{what}");
        }
        let spec = json!({"metadata": {"deletionTimestamp": time}, "spec": {"x": 2}});
        assert!(!finishing(spec, old.clone()));
        let alive = json!({"metadata": {"finalizers": ["a"]}, "spec": {"x": 1}});
        assert!(!finishing(with(json!({"deletionTimestamp": time})), alive));
    }
}
