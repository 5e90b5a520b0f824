//! Walks an object and remembers the way, so that a policy can name the place of what it found.

use crate::{Node, Pointer, Value};

/// A place in an object, present or absent, with the way to it.
///
/// Steps are free of allocation: the pointer and the key are built only when a violation is.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    node: Option<&'a Node>,
    step: Step<'a>,
    parent: Option<&'a Cursor<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    Item(usize),
}

impl<'a> Cursor<'a> {
    /// The object itself.
    pub fn root(node: &'a Node) -> Self {
        Cursor {
            node: Some(node),
            step: Step::Root,
            parent: None,
        }
    }

    /// The member of that name, which may be absent (`null` is absent).
    pub fn member<'b>(&'b self, key: &'b str) -> Cursor<'b>
    where
        'a: 'b,
    {
        Cursor {
            node: self.node.and_then(|n| n.get(key)),
            step: Step::Member(key),
            parent: Some(self),
        }
    }

    /// The members of an object; none where it is absent or something else.
    pub fn members<'b>(&'b self) -> impl Iterator<Item = Cursor<'b>>
    where
        'a: 'b,
    {
        self.node
            .map_or(&[][..], Node::entries)
            .iter()
            .map(move |entry| Cursor {
                node: Some(&entry.node),
                step: Step::Member(&entry.key),
                parent: Some(self),
            })
    }

    /// The name of the member that this is; empty for anything else.
    pub fn name(&self) -> &'a str {
        match self.step {
            Step::Member(name) => name,
            _ => "",
        }
    }

    /// The items of a list; none where it is absent or something else.
    pub fn items<'b>(&'b self) -> impl Iterator<Item = Cursor<'b>>
    where
        'a: 'b,
    {
        self.node
            .map_or(&[][..], Node::items)
            .iter()
            .enumerate()
            .map(move |(i, node)| Cursor {
                node: Some(node),
                step: Step::Item(i),
                parent: Some(self),
            })
    }

    /// The value, unless it is absent.
    pub fn node(&self) -> Option<&'a Node> {
        self.node
    }

    /// Whether `null` was written here. It counts as absent, except to those who ask.
    pub fn is_null(&self) -> bool {
        match (
            self.step,
            self.parent.and_then(Cursor::node).map(|n| &n.value),
        ) {
            (Step::Member(key), Some(Value::Object(map))) => {
                map.get(key).is_some_and(|n| matches!(n.value, Value::Null))
            }
            _ => false,
        }
    }

    /// Where this is. Of something absent, its highest absent ancestor: of `limits.memory` in a
    /// container without `resources`, `resources`.
    pub fn pointer(&self) -> Pointer {
        let mut pointer = Pointer::root();
        self.visit(&mut |step, present| {
            match step {
                Step::Root => {}
                Step::Member(key) => pointer.push(key),
                Step::Item(index) => pointer.push(&index.to_string()),
            }
            present
        });
        pointer
    }

    /// What this is: the full way with list-map keys instead of indexes, the same whichever
    /// ancestors are absent and in whatever order lists stand.
    /// `spec/template/spec/containers[name=api]/resources/limits/memory`
    pub fn key(&self) -> String {
        let mut key = String::new();
        self.push_key(&mut key);
        key
    }

    fn push_key(&self, key: &mut String) {
        if let Some(parent) = self.parent {
            parent.push_key(key);
        }
        match self.step {
            Step::Root => {}
            Step::Member(name) => {
                if !key.is_empty() {
                    key.push('/');
                }
                key.push_str(name);
            }
            Step::Item(_) => {
                let list = self.parent.map_or("", |p| match p.step {
                    Step::Member(name) => name,
                    _ => "",
                });
                if let Some(node) = self.node {
                    key.push('[');
                    key.push_str(&list_item_key(list, node));
                    key.push(']');
                }
            }
        }
    }

    /// Calls `f` from the root down, until it says that what follows is of no interest.
    fn visit(&self, f: &mut impl FnMut(Step<'a>, bool) -> bool) -> bool {
        if let Some(parent) = self.parent
            && !parent.visit(f)
        {
            return false;
        }
        f(self.step, self.node.is_some())
    }
}

/// What tells an item of a list from the others, without its index: the list-map keys of the
/// Kubernetes API (`x-kubernetes-list-map-keys`), else the item's name, else its content.
///
/// `list` is the name of the member that holds the list.
pub fn list_item_key(list: &str, item: &Node) -> String {
    let keys: &[&str] = match list {
        // Containers' ports and Services' ports share a name but not their keys.
        "ports" if item.get("containerPort").is_some() => &["containerPort", "protocol"],
        "ports" => &["port", "protocol"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        "conditions" => &["type"],
        "ownerReferences" => &["uid"],
        _ => &["name"],
    };
    let parts: Vec<String> = keys
        .iter()
        .filter_map(|key| {
            item.get(key)
                .and_then(scalar)
                .map(|value| format!("{key}={value}"))
        })
        .collect();
    if parts.is_empty() {
        scalar(item).unwrap_or_else(|| format!("#{:016x}", content_hash(item)))
    } else {
        parts.join(",")
    }
}

pub(crate) fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(s) => Some(s.to_string()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

/// A hash of the value that does not depend on the order of keys.
fn content_hash(node: &Node) -> u64 {
    use xxhash_rust::xxh3::xxh3_64;
    match &node.value {
        Value::Array(items) => {
            let hashes: Vec<u8> = items
                .iter()
                .flat_map(|n| content_hash(n).to_le_bytes())
                .collect();
            xxh3_64(&hashes) ^ 1
        }
        Value::Object(map) => map.iter().fold(2, |sum: u64, e| {
            let mut pair = e.key.as_bytes().to_vec();
            pair.extend(content_hash(&e.node).to_le_bytes());
            sum.wrapping_add(xxh3_64(&pair))
        }),
        _ => xxh3_64(scalar(node).unwrap_or_default().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Node {
        serde_json::from_str(
            r#"{"spec": {"containers": [{"name": "a"}, {"name": "b", "resources": {"limits": null}}]}}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_pointer_stops_at_the_first_absent_step_and_the_key_does_not() {
        let pod = pod();
        let root = Cursor::root(&pod);
        let spec = root.member("spec");
        let containers = spec.member("containers");
        let second = containers.items().nth(1).unwrap();
        let resources = second.member("resources");
        let limits = resources.member("limits");
        let memory = limits.member("memory");
        assert!(memory.node().is_none());
        assert_eq!(
            memory.pointer().as_str(),
            "/spec/containers/1/resources/limits"
        );
        assert_eq!(
            memory.key(),
            "spec/containers[name=b]/resources/limits/memory"
        );
    }

    #[test]
    fn items_without_a_name_are_told_apart_by_content_not_by_order() {
        let a: Node = serde_json::from_str(r#"{"x": 1, "y": [1]}"#).unwrap();
        let b: Node = serde_json::from_str(r#"{"y": [1], "x": 1}"#).unwrap();
        let c: Node = serde_json::from_str(r#"{"y": [1], "x": 2}"#).unwrap();
        assert_eq!(list_item_key("rules", &a), list_item_key("rules", &b));
        assert_ne!(list_item_key("rules", &a), list_item_key("rules", &c));
        let port: Node =
            serde_json::from_str(r#"{"name": "http", "containerPort": 80, "protocol": "TCP"}"#)
                .unwrap();
        assert_eq!(
            list_item_key("ports", &port),
            "containerPort=80,protocol=TCP"
        );
    }
}
