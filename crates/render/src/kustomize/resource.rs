//! An object on its way through a kustomization, with what it was called before.

use std::collections::HashMap;
use std::sync::Arc;

use stagegate_core::{Entry, FileId, Map, Mark, Node, ObjectRef, Str, Value};

use super::id::{Id, NO_NAMESPACE, Type, effective};
use super::limits::weight;
use super::scalars::{Style, untyped};
use super::spec::Behavior;

/// An object, and what kustomize remembers of it.
#[derive(Clone)]
pub(crate) struct Resource {
    pub(crate) node: Node,
    /// Earlier names, the oldest first.
    pub(crate) previous: Vec<Previous>,
    /// What was put before the name, innermost first, and behind it.
    pub(crate) prefixes: Vec<Str>,
    pub(crate) suffixes: Vec<Str>,
    /// What a generator wants done where the object is there already.
    pub(crate) behavior: Behavior,
    /// Its name gets a hash of its content.
    pub(crate) needs_hash: bool,
    /// Variables that read a field of this object.
    pub(crate) vars: Vec<Str>,
    /// Labels and annotations that one entry of a kustomization set in several places: their keys and
    /// the places of those. To kustomize they are one value, and who changes one changes all.
    pub(crate) shared: Vec<(Str, Mark)>,
    /// How much memory it takes, about.
    pub(crate) weight: usize,
    /// How it came to be.
    pub(crate) history: History,
}

/// What an object was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Previous {
    pub(crate) kind: Str,
    pub(crate) name: Str,
    /// The namespace that told it apart.
    pub(crate) namespace: Str,
}

/// Where an object comes from and what was done to it.
#[derive(Clone)]
pub(crate) struct History {
    /// What it is called where it was written.
    pub(crate) written: Arc<ObjectRef>,
    /// From the file in which it stands to the kustomization that is built.
    pub(crate) files: Vec<FileId>,
    /// What generated it: the kustomization and the kind of generator.
    pub(crate) generated: Option<&'static str>,
    /// Places of values that replaced others, with the places of those.
    pub(crate) overridden: Vec<(Mark, Mark)>,
    /// How kustomize writes values, where that is not how they are written at their places: those that
    /// took the place of others are written as the first of those.
    pub(crate) styles: HashMap<Mark, Style>,
    /// Places of values that were set without a type: what looks like a number is one, until a merge
    /// patch goes over the object and makes a text of it.
    pub(crate) untyped: Vec<Mark>,
    /// What was taken out: the place of the object that held it, the member, the place of what did.
    pub(crate) removed: Vec<(Mark, Str, Mark)>,
    /// The transformers that ran over it: the kustomization and their kind. Only where
    /// `buildMetadata` asks for it.
    pub(crate) transformations: Vec<(FileId, &'static str)>,
}

impl History {
    /// How kustomize writes what stands at a place, where that is known.
    pub(crate) fn style(&self, mark: Mark) -> Option<Style> {
        self.styles.get(&mark).copied()
    }
}

impl Resource {
    /// An object that stands in a file.
    pub(crate) fn read(node: Node) -> Resource {
        let id = Id::of(&node);
        let written = ObjectRef {
            api_version: id.of.api_version(),
            kind: id.of.kind.to_string(),
            namespace: (!id.namespace.is_empty()).then(|| id.namespace.to_string()),
            name: id.name.to_string(),
        };
        let file = node.mark.file;
        Resource {
            weight: weight(&node),
            node,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            behavior: Behavior::Unspecified,
            needs_hash: false,
            vars: Vec::new(),
            shared: Vec::new(),
            history: History {
                written: Arc::new(written),
                files: vec![file],
                generated: None,
                overridden: Vec::new(),
                styles: HashMap::new(),
                untyped: Vec::new(),
                removed: Vec::new(),
                transformations: Vec::new(),
            },
        }
    }

    /// Notes how kustomize writes the texts of a ConfigMap or Secret that it makes: in quotes or in a
    /// block where they would be read as something else, and plain elsewhere.
    pub(crate) fn style_texts(&mut self) {
        for member in ["data", "binaryData"] {
            for entry in self.node.get(member).map_or(&[][..], Node::entries) {
                let Some(text) = entry.node.as_str() else {
                    continue;
                };
                let is_plain = text.is_empty()
                    || !text.contains('\n') && matches!(untyped(text), Value::String(_));
                let style = if is_plain {
                    Style::Plain
                } else {
                    Style::Quoted
                };
                self.history.styles.insert(entry.node.mark, style);
            }
        }
    }

    pub(crate) fn id(&self) -> Id {
        Id::of(&self.node)
    }

    /// What it is called and was called, the current name last. Earlier names tell the namespace
    /// as it was told apart then.
    pub(crate) fn ids(&self) -> Vec<Id> {
        let current = self.id();
        let mut ids: Vec<Id> = self.previous_ids(&current.of).collect();
        ids.push(current);
        ids
    }

    pub(crate) fn previous_ids<'r>(&'r self, of: &'r Type) -> impl Iterator<Item = Id> + 'r {
        self.previous.iter().map(|previous| Id {
            of: Type {
                kind: previous.kind.clone(),
                ..of.clone()
            },
            name: previous.name.clone(),
            namespace: previous.namespace.clone(),
        })
    }

    /// What it was called first.
    pub(crate) fn original_id(&self) -> Id {
        let current = self.id();
        let first = self.previous_ids(&current.of).next();
        first.unwrap_or(current)
    }

    /// Whether it is or was called so: `wanted` with the namespace that tells it apart.
    pub(crate) fn is_or_was(&self, wanted: &Id) -> bool {
        let current = self.id();
        let is_named = |id: &Id| id.name == wanted.name && id.of == wanted.of;
        let was = self.previous_ids(&current.of);
        let mut was = was.filter(is_named);
        was.any(|id| previous_namespace(&id) == wanted.namespace)
            || (is_named(&current) && current.effective_namespace() == wanted.namespace)
    }

    /// Whether kustomize has something to remember of it.
    pub(crate) fn has_notes(&self) -> bool {
        !self.previous.is_empty()
            || !self.prefixes.is_empty()
            || !self.suffixes.is_empty()
            || self.history.generated.is_some()
    }

    /// Forgets all that kustomize remembers in annotations.
    pub(crate) fn forget(&mut self) {
        self.previous.clear();
        self.prefixes.clear();
        self.suffixes.clear();
        self.needs_hash = false;
        self.behavior = Behavior::Unspecified;
        self.history.transformations.clear();
    }

    /// Gives a shared label or annotation that was changed in one place its value in all.
    pub(crate) fn spread(&mut self, changed: &[Entry]) {
        let changed = changed
            .iter()
            .filter(|e| self.shared.contains(&(e.key.clone(), e.key_mark)));
        for entry in changed.cloned().collect::<Vec<_>>() {
            spread(&mut self.node, &entry);
        }
    }

    /// The same for those that now have the value of this place.
    pub(crate) fn spread_from(&mut self, mark: Mark) {
        if self.shared.is_empty() {
            return;
        }
        let mut changed = Vec::new();
        entries_from(&self.node, mark, &mut changed);
        self.spread(&changed);
    }

    /// From here on every shared value stands by itself.
    pub(crate) fn unshare(&mut self) {
        for (key, mark) in std::mem::take(&mut self.shared) {
            unshare(&mut self.node, &key, mark);
        }
    }

    /// Remembers the current name.
    pub(crate) fn remember(&mut self) {
        let id = self.id();
        self.previous.push(Previous {
            namespace: id.effective_namespace().into(),
            kind: id.of.kind,
            name: id.name,
        });
    }

    /// Whether prefixes and suffixes are those of another, as far as both have some.
    pub(crate) fn shares_context(&self, other: &Resource, empty_fits: bool) -> bool {
        let fits = |a: &[Str], b: &[Str]| {
            (empty_fits && (a.is_empty() || b.is_empty())) || same_ending(a, b)
        };
        fits(&self.prefixes, &other.prefixes) && fits(&self.suffixes, &other.suffixes)
    }
}

/// The namespace of an earlier name: `default` is stored as such.
pub(crate) fn previous_namespace(id: &Id) -> &str {
    if id.namespace == NO_NAMESPACE {
        NO_NAMESPACE
    } else {
        effective(&id.namespace)
    }
}

fn same_ending(a: &[Str], b: &[Str]) -> bool {
    let (short, long) = if a.len() > b.len() { (b, a) } else { (a, b) };
    if short.is_empty() {
        return long.is_empty();
    }
    long.ends_with(short)
}

/// An entry whose key and value stand in one place.
pub(crate) fn entry(key: &str, mark: Mark, value: Value) -> Entry {
    Entry {
        key: Str::new(key),
        key_mark: mark,
        node: Node { mark, value },
    }
}

/// The members of a member that is an object; made where it is absent or null.
pub(crate) fn object_in<'n>(node: &'n mut Node, key: &str, mark: Mark) -> Option<&'n mut Map> {
    let Value::Object(map) = &mut node.value else {
        return None;
    };
    let is_there = map
        .get(key)
        .is_some_and(|n| !matches!(n.value, Value::Null));
    if !is_there {
        map.insert(entry(key, mark, Value::Object(Map::new())));
    }
    match &mut map.get_mut(key)?.value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// Sets a member of `metadata`, which keeps the place that it has.
pub(crate) fn set_metadata(node: &mut Node, key: &str, value: &str) {
    let mark = node.mark;
    let Some(metadata) = object_in(node, "metadata", mark) else {
        return;
    };
    match metadata.get_mut(key) {
        Some(node) => node.value = Value::String(value.into()),
        None => metadata.insert(entry(key, mark, Value::String(value.into()))),
    }
}

fn spread(node: &mut Node, changed: &Entry) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| spread(item, changed)),
        Value::Object(map) => {
            for entry in map.iter_mut() {
                if entry.key_mark == changed.key_mark && entry.key == changed.key {
                    entry.node = changed.node.clone();
                } else {
                    spread(&mut entry.node, changed);
                }
            }
        }
        _ => {}
    }
}

fn unshare(node: &mut Node, key: &str, mark: Mark) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| unshare(item, key, mark)),
        Value::Object(map) => {
            for entry in map.iter_mut() {
                if entry.key_mark == mark && entry.key == key {
                    entry.key_mark = entry.node.mark;
                }
                unshare(&mut entry.node, key, mark);
            }
        }
        _ => {}
    }
}

/// Members whose values stand at a place.
fn entries_from(node: &Node, mark: Mark, found: &mut Vec<Entry>) {
    match &node.value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| entries_from(item, mark, found)),
        Value::Object(map) => {
            for entry in map.iter() {
                if entry.node.mark == mark {
                    found.push(entry.clone());
                }
                entries_from(&entry.node, mark, found);
            }
        }
        _ => {}
    }
}
