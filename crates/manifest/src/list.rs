//! `kind: List`: many objects in one.

use stagegate_core::{Entry, Mark, Node, Str, Value};

/// Takes the objects out of a `List`, recursively, as `kubectl apply` and Argo CD do: anything
/// with a list of `items` is one, whatever its kind. Items of a typed list such as `ConfigMapList`
/// take their kind from it. Anything else comes back as it is.
pub fn expand_list(node: Node) -> Vec<Node> {
    let kind = node.get("kind").and_then(Node::as_str).unwrap_or_default();
    let item_kind = kind.strip_suffix("List");
    let items = node
        .as_map()
        .and_then(|map| map.get("items"))
        .map(|n| &n.value);
    match items {
        Some(Value::Array(_)) if !kind.is_empty() => {}
        Some(Value::Null) if item_kind.is_some() => return Vec::new(),
        _ => return vec![node],
    }
    let item_kind = item_kind.unwrap_or_default();
    let inherited: Vec<(&str, Str)> = match node.get("apiVersion").and_then(Node::as_str) {
        Some(version) if !item_kind.is_empty() => {
            vec![
                ("apiVersion", Str::new(version)),
                ("kind", Str::new(item_kind)),
            ]
        }
        _ => Vec::new(),
    };
    let items = match node.value {
        Value::Object(mut map) => map.remove("items").map(|entry| entry.node.value),
        _ => None,
    };
    let Some(Value::Array(items)) = items else {
        return Vec::new();
    };
    items
        .into_iter()
        .filter(|item| !matches!(item.value, Value::Null))
        .flat_map(|mut item| {
            let mark = item.mark;
            if let Value::Object(map) = &mut item.value {
                for (key, value) in &inherited {
                    if map.get(key).is_none() {
                        map.insert(Entry {
                            key: Str::new(key),
                            key_mark: Mark {
                                end: mark.start,
                                ..mark
                            },
                            node: Node {
                                mark: Mark {
                                    end: mark.start,
                                    ..mark
                                },
                                value: Value::String(value.clone()),
                            },
                        });
                    }
                }
            }
            expand_list(item)
        })
        .collect()
}
