//! Which lists of Kubernetes' own types a strategic merge patch merges item by item.
//!
//! Source: the patch strategies of the OpenAPI document that kustomize 5.5.0 carries (Kubernetes
//! 1.21), in `data/merge-keys.txt`. The lists of newer fields and of custom resources are replaced.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What is known of a field, as far as it matters to merging.
#[derive(Clone, Copy)]
pub(crate) enum Schema {
    /// An object, some list in which is merged.
    Object(&'static Definition),
    /// A list that is merged.
    List {
        items: Option<&'static Definition>,
        /// What tells its items apart; nothing where they are plain values.
        keys: &'static [&'static str],
    },
}

/// The fields of an object that matter.
#[derive(Default)]
pub(crate) struct Definition {
    fields: HashMap<&'static str, Field>,
}

enum Field {
    Object(&'static str),
    List {
        items: Option<&'static str>,
        keys: Vec<&'static str>,
    },
}

#[derive(Default)]
struct Table {
    /// By `apiVersion kind`.
    types: HashMap<&'static str, &'static str>,
    definitions: HashMap<&'static str, Definition>,
}

static TABLE: LazyLock<Table> =
    LazyLock::new(|| Table::read(include_str!("../../data/merge-keys.txt")));

impl Table {
    fn read(text: &'static str) -> Table {
        let mut table = Table::default();
        let mut current = "";
        for line in text.lines() {
            if let Some(of_type) = line.strip_prefix("type ") {
                table.types.extend(of_type.rsplit_once(' '));
                continue;
            }
            let mut words = line.split_whitespace();
            let field = match (words.next(), words.next(), words.next()) {
                (Some("def"), Some(name), None) => {
                    current = name;
                    continue;
                }
                (Some("field"), Some(name), Some("object")) => words
                    .next()
                    .map(|definition| (name, Field::Object(definition))),
                (Some("field"), Some(name), Some("list")) => {
                    let items = words.next().filter(|word| *word != "-");
                    let keys = words.nth(1).filter(|word| *word != "-");
                    let keys = keys.map_or_else(Vec::new, |keys| keys.split(',').collect());
                    Some((name, Field::List { items, keys }))
                }
                _ => None,
            };
            let definition = table.definitions.entry(current).or_default();
            definition.fields.extend(field);
        }
        table
    }
}

impl Schema {
    /// What is known of a type.
    pub(crate) fn of(api_version: &str, kind: &str) -> Option<Schema> {
        let name = format!("{api_version} {kind}");
        definition(TABLE.types.get(name.as_str())?).map(Schema::Object)
    }

    /// What is known of a member.
    pub(crate) fn field(self, name: &str) -> Option<Schema> {
        let Schema::Object(definition_of) = self else {
            return None;
        };
        match definition_of.fields.get(name)? {
            Field::Object(name) => definition(name).map(Schema::Object),
            Field::List { items, keys } => Some(Schema::List {
                items: items.and_then(definition),
                keys,
            }),
        }
    }
}

fn definition(name: &str) -> Option<&'static Definition> {
    TABLE.definitions.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_kubernetes_own_lists_are_known() {
        let spec = |path: &[&str]| {
            path.iter()
                .try_fold(Schema::of("apps/v1", "Deployment").unwrap(), |s, p| {
                    s.field(p)
                })
        };
        let Some(Schema::List {
            items: Some(items),
            keys,
        }) = spec(&["spec", "template", "spec", "containers"])
        else {
            panic!("containers are merged");
        };
        assert_eq!(keys, ["name"]);
        let ports = Schema::Object(items).field("ports");
        let Some(Schema::List { keys, .. }) = ports else {
            panic!("ports are merged");
        };
        assert_eq!(keys, ["containerPort", "protocol"]);
        assert!(spec(&["spec", "template", "spec", "tolerations"]).is_none());
        let Some(Schema::List {
            items: None,
            keys: [],
        }) = spec(&["metadata", "finalizers"])
        else {
            panic!("finalizers are plain values");
        };
        assert!(Schema::of("example.com/v1", "Deployment").is_none());
    }
}
