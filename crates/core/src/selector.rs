//! Label selectors.
//!
//! Source: "Labels and Selectors" in the Kubernetes documentation, and `LabelSelectorAsSelector`
//! of apimachinery.

use crate::Node;

/// The labels of something that a selector may select.
#[derive(Clone, Default)]
pub struct Labels<'a> {
    written: Option<&'a Node>,
    implied: Vec<(&'a str, &'a str)>,
}

impl<'a> Labels<'a> {
    /// The labels in a `metadata.labels`, which may be absent.
    pub fn of(written: Option<&'a Node>) -> Self {
        Labels {
            written,
            implied: Vec::new(),
        }
    }

    /// Adds a label that the cluster gives by itself, unless it is written.
    #[must_use]
    pub fn implying(mut self, key: &'a str, value: &'a str) -> Self {
        self.implied.push((key, value));
        self
    }

    /// Every label with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let written = self.written.map_or(&[][..], Node::entries).iter();
        let written = written.filter_map(|e| Some((e.key.as_str(), e.node.as_str()?)));
        let unwritten =
            |(key, _): &&(&str, &str)| self.written.and_then(|labels| labels.get(key)).is_none();
        let implied = self.implied.iter().filter(unwritten).copied();
        written.chain(implied.collect::<Vec<_>>())
    }

    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let written = self.written.and_then(|labels| labels.get(key));
        written.and_then(Node::as_str).or_else(|| {
            self.implied
                .iter()
                .find(|(implied, _)| *implied == key)
                .map(|(_, value)| *value)
        })
    }
}

/// Whether a selector selects labels: `matchLabels` and `matchExpressions`, all of them. An empty
/// selector selects everything, an absent one nothing.
pub fn selects(selector: Option<&Node>, labels: &Labels<'_>) -> bool {
    selector.is_some_and(|selector| selects_keys(selector, &|key| labels.get(key)))
}

/// The same for labels that are looked up by the function, for selectors that write their keys in
/// another way.
pub fn selects_keys<'l>(selector: &Node, value_of: &dyn Fn(&str) -> Option<&'l str>) -> bool {
    let equal = selector
        .get("matchLabels")
        .map_or(&[][..], Node::entries)
        .iter()
        .all(|entry| {
            entry
                .node
                .as_str()
                .is_some_and(|value| value_of(&entry.key) == Some(value))
        });
    equal
        && selector
            .get("matchExpressions")
            .map_or(&[][..], Node::items)
            .iter()
            .all(|expression| fulfils(expression, value_of))
}

/// The labels of which a selector asks for one: a key with the values that are right. `None` where it
/// asks for none, as does one that selects everything or only forbids.
pub(crate) fn required(selector: &Node) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let equal = selector.get("matchLabels").map_or(&[][..], Node::entries);
    let equal = equal
        .iter()
        .filter_map(|e| Some((e.key.as_str(), vec![e.node.as_str()?])));
    let expressions = selector
        .get("matchExpressions")
        .map_or(&[][..], Node::items);
    let any_of = expressions.iter().filter_map(|expression| {
        let text = |key: &str| expression.get(key).and_then(Node::as_str);
        let values = expression.get("values").map_or(&[][..], Node::items);
        let values = values.iter().filter_map(Node::as_str).collect();
        (text("operator") == Some("In")).then_some((text("key")?, values))
    });
    equal.chain(any_of)
}

/// Whether a selector selects everything, whatever its labels.
pub fn selects_all(selector: &Node) -> bool {
    let empty = |key: &str| {
        selector
            .get(key)
            .is_none_or(|part| part.entries().is_empty() && part.items().is_empty())
    };
    empty("matchLabels") && empty("matchExpressions")
}

fn fulfils<'l>(expression: &Node, value_of: &dyn Fn(&str) -> Option<&'l str>) -> bool {
    let text = |key: &str| expression.get(key).and_then(Node::as_str);
    let value = text("key").and_then(value_of);
    let listed = || {
        expression
            .get("values")
            .map_or(&[][..], Node::items)
            .iter()
            .any(|listed| listed.as_str() == value)
    };
    match text("operator") {
        Some("In") => value.is_some() && listed(),
        // What lacks the label is not in any set.
        Some("NotIn") => value.is_none() || !listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        // The API server refuses the object that holds it.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(json: &str) -> Node {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn labels_and_expressions_must_all_hold() {
        let labels = node(r#"{"app": "api", "tier": "back"}"#);
        let selected = |selector: &str| selects(Some(&node(selector)), &Labels::of(Some(&labels)));
        for selector in [
            "{}",
            r#"{"matchLabels": {}}"#,
            r#"{"matchLabels": {"app": "api"}}"#,
            r#"{"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}"#,
            r#"{"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}"#,
            r#"{"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}"#,
            r#"{"matchLabels": null, "matchExpressions": [{"key": "app", "operator": "Exists"}]}"#,
        ] {
            assert!(selected(selector), "{selector}");
        }
        for selector in [
            r#"{"matchLabels": {"app": "api", "tier": "front"}}"#,
            r#"{"matchLabels": {"app": "api"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}"#,
            r#"{"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["api"]}]}"#,
            r#"{"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}"#,
            r#"{"matchExpressions": [{"key": "app", "operator": "in", "values": ["api"]}]}"#,
        ] {
            assert!(!selected(selector), "{selector}");
        }
        assert!(!selects(None, &Labels::of(Some(&labels))));
    }

    proptest! {
        /// Adding a requirement never selects more.
        #[test]
        fn requirements_only_narrow(
            labels in proptest::collection::btree_map("[ab]", "[xy]", 0..3),
            wanted in proptest::collection::btree_map("[ab]", "[xy]", 0..3),
            key in "[ab]", operator in prop_oneof!["In", "NotIn", "Exists", "DoesNotExist"],
        ) {
            let labels: Node = serde_json::from_value(serde_json::json!(labels)).unwrap();
            let labels = Labels::of(Some(&labels));
            let broad: Node =
                serde_json::from_value(serde_json::json!({"matchLabels": wanted})).unwrap();
            let narrow: Node = serde_json::from_value(serde_json::json!({
                "matchLabels": wanted,
                "matchExpressions": [{"key": key, "operator": operator, "values": ["x"]}],
            })).unwrap();
            prop_assert!(!selects(Some(&narrow), &labels) || selects(Some(&broad), &labels));
            // NotIn is the exact opposite of In, and so are the other two.
            let one = |operator: &str| {
                let selector: Node = serde_json::from_value(serde_json::json!({
                    "matchExpressions": [{"key": key, "operator": operator, "values": ["x"]}],
                })).unwrap();
                selects(Some(&selector), &labels)
            };
            prop_assert_ne!(one("In"), one("NotIn"));
            prop_assert_ne!(one("Exists"), one("DoesNotExist"));
        }
    }
}
