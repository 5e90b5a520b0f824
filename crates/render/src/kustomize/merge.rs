//! Strategic merge patches, done as kustomize does them.
//!
//! Lists of Kubernetes' own types are merged item by item ([`Schema`]), all others replaced. What
//! kustomize does to a merged list is odd in corners (an item without its key takes others with it,
//! items of equal keys fall into one, also where the patch has nothing to say about the list), and
//! as that is what will be deployed, it is done here too, step by step.
//! Source: kyaml 0.18 (`yaml/merge2`, `yaml/walk`), measured in `testdata/overlays/patches`.

use std::collections::{HashMap, HashSet};

use stagegate_core::{Entry, Map, Mark, Node, Str, Value};

use super::resource::{History, entry};
use super::scalars::{Scalars, Style, untyped};
use super::schema::Schema;

/// Why two things cannot be merged.
pub(crate) struct Unmergeable {
    pub(crate) mark: Mark,
    pub(crate) message: String,
}

/// What a patch makes of an object.
pub(crate) enum Merged {
    /// The object, changed.
    Changed(Node),
    /// `$patch: delete`.
    Deleted,
    /// The patch was to replace all of it, which kustomize does not do.
    Unchanged(Node),
}

/// Merges a patch into an object. `written` gets the members whose values were set.
///
/// # Errors
/// A scalar over an object and the like; a `$patch` directive that there is not.
pub(crate) fn merge(
    object: Node,
    patch: &Node,
    scalars: Scalars<'_>,
    history: &mut History,
    written: &mut Vec<Entry>,
) -> Result<Merged, Unmergeable> {
    let replaces = patch
        .as_map()
        .and_then(|map| map.get(DIRECTIVE))
        .is_some_and(|directive| directive.as_str() == Some("replace"));
    if replaces {
        return Ok(Merged::Unchanged(object));
    }
    let untyped = std::mem::take(&mut history.untyped);
    let mut merger = Merger {
        scalars,
        untyped,
        history,
        written,
        same: false,
        key: KeyOf::Object,
    };
    Ok(match merger.walk(Some(object), Some(patch), None)? {
        Walked::Nothing => Merged::Deleted,
        Walked::Kept(node) | Walked::New(node) => Merged::Changed(node),
    })
}

const DIRECTIVE: &str = "$patch";

struct Merger<'a> {
    scalars: Scalars<'a>,
    /// Places of members that were set without a type, and become texts where they are walked.
    untyped: Vec<Mark>,
    history: &'a mut History,
    /// Members whose single values were set.
    written: &'a mut Vec<Entry>,
    /// What is there and the patch are one: something that the object lacked.
    same: bool,
    /// What the object that is walked next is told apart by.
    key: KeyOf,
}

/// Which members of an object only say which one a patch means, so that they stay where they were
/// written.
#[derive(Clone, Copy)]
enum KeyOf {
    /// The outermost one.
    Object,
    /// Its metadata.
    Metadata,
    /// An item of a list.
    Item(&'static [&'static str]),
    Nothing,
}

impl KeyOf {
    fn names(self, member: &str) -> bool {
        match self {
            KeyOf::Object => ["apiVersion", "kind"].contains(&member),
            KeyOf::Metadata => ["name", "namespace"].contains(&member),
            KeyOf::Item(keys) => keys.contains(&member),
            KeyOf::Nothing => false,
        }
    }

    fn below(self, member: &str) -> Self {
        match self {
            KeyOf::Object if member == "metadata" => KeyOf::Metadata,
            _ => KeyOf::Nothing,
        }
    }
}

/// What becomes of a value.
enum Walked {
    /// It is taken out.
    Nothing,
    /// It is the one that was there, changed in its place.
    Kept(Node),
    /// It is another one.
    New(Node),
}

impl Walked {
    fn node(self) -> Option<Node> {
        match self {
            Walked::Nothing => None,
            Walked::Kept(node) | Walked::New(node) => Some(node),
        }
    }
}

/// What `$patch` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Scalar,
    List,
    Object,
}

fn is_null(node: &Node) -> bool {
    matches!(node.value, Value::Null)
}

/// Neither absent nor null.
fn shape(node: Option<&Node>) -> Option<Shape> {
    match node?.value {
        Value::Null => None,
        Value::Object(_) => Some(Shape::Object),
        Value::Array(_) => Some(Shape::List),
        _ => Some(Shape::Scalar),
    }
}

impl Merger<'_> {
    fn walk(
        &mut self,
        there: Option<Node>,
        patch: Option<&Node>,
        schema: Option<Schema>,
    ) -> Result<Walked, Unmergeable> {
        let schema = schema.or_else(|| {
            [there.as_ref(), patch]
                .into_iter()
                .flatten()
                .find_map(own_schema)
        });
        let (own, patched) = (shape(there.as_ref()), shape(patch));
        let Some(shape) = own.or(patched) else {
            // Null or absent on both sides: what was written as null stays.
            return Ok(match (there, patch) {
                (Some(there), None) if !self.scalars.is_left_out(&there) => Walked::Kept(there),
                _ => Walked::Nothing,
            });
        };
        if let (Some(own), Some(patched), Some(patch)) = (own, patched, patch)
            && own != patched
        {
            return Err(mismatch(own, patched, patch));
        }
        let there = there.filter(|node| !is_null(node));
        match shape {
            Shape::Object => self.walk_object(there, patch, schema),
            Shape::List => match schema {
                Some(Schema::List { items, keys }) => {
                    self.walk_list(there, patch, items.map(Schema::Object), keys)
                }
                _ => Ok(self.replace(there, patch)),
            },
            Shape::Scalar => Ok(self.replace(there, patch)),
        }
    }

    /// What the patch has takes the place of what is there.
    fn replace(&mut self, there: Option<Node>, patch: Option<&Node>) -> Walked {
        match (there, patch) {
            (_, Some(patch)) if is_null(patch) => Walked::Nothing,
            (Some(there), Some(patch)) => {
                if patch.mark == there.mark {
                    return Walked::New(patch.clone());
                }
                self.history.overridden.push((patch.mark, there.mark));
                Walked::New(self.in_style_of(&there, patch.clone()))
            }
            (None, Some(patch)) => Walked::New(patch.clone()),
            (Some(there), None) => Walked::Kept(there),
            (None, None) => Walked::Nothing,
        }
    }

    /// A member that was set without a type is a text from here on.
    fn typed(&self, mut node: Node) -> Node {
        let is_typed = matches!(node.value, Value::Bool(_) | Value::Number(_));
        if is_typed && self.untyped.contains(&node.mark) {
            node.value = Value::String(self.scalars.text(&node).as_ref().into());
        }
        node
    }

    /// A value keeps the quotes of the one that it replaces, and so becomes a text.
    fn in_style_of(&mut self, there: &Node, mut node: Node) -> Node {
        if shape(Some(&node)) != Some(Shape::Scalar) {
            return node;
        }
        let style = self.history.style(there.mark);
        let style = style.unwrap_or_else(|| self.scalars.style(there));
        self.history.styles.insert(node.mark, style);
        if matches!(node.value, Value::Bool(_) | Value::Number(_)) && style != Style::Plain {
            node.value = Value::String(self.scalars.text(&node).as_ref().into());
        }
        node
    }

    fn walk_object(
        &mut self,
        there: Option<Node>,
        patch: Option<&Node>,
        schema: Option<Schema>,
    ) -> Result<Walked, Unmergeable> {
        let added = there.is_none();
        let (mut node, directive) = match (there, patch) {
            (None, None) => return Ok(Walked::Nothing),
            (None, Some(patch)) => {
                // An unknown directive is told only where something is there to be patched.
                let directive = directive(patch).ok().flatten();
                if directive == Some(Directive::Delete) {
                    return Ok(Walked::Nothing);
                }
                (patch.clone(), directive)
            }
            (Some(there), Some(patch)) if is_null(patch) => {
                drop(there);
                return Ok(Walked::Nothing);
            }
            (Some(there), patch) => match patch.map(directive).transpose()?.flatten() {
                Some(Directive::Delete) => return Ok(Walked::Nothing),
                Some(Directive::Replace) => {
                    let patch = patch.unwrap_or(&there);
                    let by = patch.get(DIRECTIVE).map_or(patch.mark, |n| n.mark);
                    let gone = there
                        .entries()
                        .iter()
                        .filter(|e| patch.get(&e.key).is_none());
                    let gone = gone.map(|e| (patch.mark, e.key.clone(), by));
                    self.history.removed.extend(gone);
                    (patch.clone(), Some(Directive::Replace))
                }
                other => (there, other),
            },
        };
        let is_new = added || directive == Some(Directive::Replace);
        if directive.is_some()
            && (is_new || self.same)
            && let Value::Object(map) = &mut node.value
        {
            map.remove(DIRECTIVE);
        }
        let mark = node.mark;
        let key_of = std::mem::replace(&mut self.key, KeyOf::Nothing);
        let Value::Object(map) = node.value else {
            return Ok(Walked::Kept(node));
        };
        let patch_map = patch.and_then(Node::as_map);
        let is_elided = |key: &str| directive.is_some() && key == DIRECTIVE;
        let outer = self.same;
        self.same |= is_new;
        let own = map.into_entries();
        let mut result: Vec<Entry> = Vec::with_capacity(own.len());
        let mut seen: Vec<Str> = Vec::new();
        for Entry {
            key,
            key_mark,
            node,
        } in own
        {
            let patch = patch_map
                .and_then(|map| map.entry(&key))
                .filter(|e| !is_elided(&e.key));
            let field = schema.and_then(|s| s.field(&key));
            let was_there = !is_new && !is_null(&node);
            if let Some(patch) = patch
                && key_of.names(&key)
                && patch.node == node
            {
                seen.push(key.clone());
                result.push(Entry {
                    key,
                    key_mark,
                    node,
                });
                continue;
            }
            self.key = key_of.below(&key);
            let walked = self.walk(Some(node), patch.map(|e| &e.node), field)?;
            if patch.is_some() {
                seen.push(key.clone());
            }
            if let (Walked::New(node), Some(_), true) = (&walked, patch, was_there)
                && shape(Some(node)) == Some(Shape::Scalar)
            {
                self.written.push(Entry {
                    key: key.clone(),
                    key_mark,
                    node: node.clone(),
                });
            }
            match (walked.node(), patch) {
                (Some(node), _) => result.push(Entry {
                    key,
                    key_mark,
                    node: self.typed(node),
                }),
                (None, Some(patch)) if was_there => {
                    self.history.removed.push((mark, key, patch.key_mark));
                }
                (None, _) => {}
            }
        }
        let only_in_patch = patch_map
            .filter(|_| !is_new)
            .into_iter()
            .flat_map(Map::iter);
        for patch in only_in_patch.filter(|e| !seen.contains(&e.key) && !is_elided(&e.key)) {
            let field = schema.and_then(|s| s.field(&patch.key));
            self.key = KeyOf::Nothing;
            if let Some(node) = self.walk(None, Some(&patch.node), field)?.node() {
                result.push(Entry {
                    key: patch.key.clone(),
                    key_mark: patch.key_mark,
                    node,
                });
            }
        }
        self.same = outer;
        let node = Node {
            mark,
            value: Value::Object(Map::from_entries(result)),
        };
        Ok(if is_new {
            Walked::New(node)
        } else {
            Walked::Kept(node)
        })
    }

    fn walk_list(
        &mut self,
        there: Option<Node>,
        patch: Option<&Node>,
        items: Option<Schema>,
        keys: &'static [&'static str],
    ) -> Result<Walked, Unmergeable> {
        let is_new = there.is_none();
        let mut elided = None;
        let (mark, own) = match (there, patch) {
            (None, None) => return Ok(Walked::Nothing),
            (None, Some(patch)) => (patch.mark, patch.items().to_vec()),
            (Some(_), Some(patch)) if is_null(patch) => return Ok(Walked::Nothing),
            (Some(there), patch) => {
                let directive = patch.map(|p| self.list_directive(p)).transpose()?.flatten();
                if let (Some(_), Some(patch)) = (directive, patch) {
                    elided = Some(without_directive(patch));
                }
                match directive {
                    Some(Directive::Delete) => return Ok(Walked::Nothing),
                    Some(Directive::Replace) => {
                        let items = elided.clone().unwrap_or_default();
                        (patch.map_or(there.mark, |p| p.mark), items)
                    }
                    _ => (there.mark, into_items(there)),
                }
            }
        };
        let patch_items = match (&elided, patch) {
            (Some(items), _) => items.as_slice(),
            (None, Some(patch)) => patch.items(),
            (None, None) => &[],
        };
        let outer = self.same;
        self.same |= is_new;
        let merged = self.merge_items(own, patch_items, items, keys);
        self.same = outer;
        let node = Node {
            mark,
            value: Value::Array(merged?),
        };
        Ok(if is_new {
            Walked::New(node)
        } else {
            Walked::Kept(node)
        })
    }

    fn merge_items(
        &mut self,
        own: Vec<Node>,
        patch: &[Node],
        schema: Option<Schema>,
        keys: &'static [&'static str],
    ) -> Result<Vec<Node>, Unmergeable> {
        if let [key] = keys
            && let Some(places) = self.unique(&own, patch, key)
        {
            return self.merge_unique(own, patch, &places, schema, keys);
        }
        let mut list = List {
            nodes: own,
            order: Vec::new(),
            scalars: self.scalars,
        };
        list.order = (0..list.nodes.len()).collect();
        // What tells the items apart: those of the patch first, then those that are there.
        let mut tuples: Vec<Vec<Str>> = Vec::new();
        for item in patch.iter().chain(&list.nodes) {
            let tuple: Vec<Str> = if keys.is_empty() {
                vec![self.scalars.text(item).as_ref().into()]
            } else {
                keys.iter().map(|key| list.key_text(item, key)).collect()
            };
            if !tuples.contains(&tuple) {
                tuples.push(tuple);
            }
        }
        let keys: &'static [&'static str] = if keys.is_empty() { &[""] } else { keys };
        if keys.len() > 1 {
            join_tuples(&mut tuples);
        }
        let mut out: Vec<usize> = Vec::new();
        let mut valid_keys: Vec<&str> = Vec::new();
        for i in 0..tuples.len() {
            let (names, values) = valid(&tuples, &tuples[i], keys);
            let (own_names, own_values) = valid(std::slice::from_ref(&values), &values, &names);
            let there = list.find(&list.order, &own_names, &own_values);
            let patched = patch
                .iter()
                .find(|item| list.fits_all(item, &own_names, &own_values));
            self.key = KeyOf::Item(keys);
            let walked = self.walk(there.map(|i| list.nodes[i].clone()), patched, schema)?;
            let index = match walked {
                Walked::Nothing => None,
                Walked::Kept(node) => match there {
                    Some(i) => {
                        list.nodes[i] = node;
                        Some(i)
                    }
                    None => Some(list.add(node)),
                },
                Walked::New(node) => match there {
                    Some(i) if self.same => {
                        list.nodes[i] = node;
                        Some(i)
                    }
                    _ => Some(list.add(node)),
                },
            };
            let empty = index.is_none_or(|i| {
                is_null(&list.nodes[i]) || list.nodes[i].as_map().is_some_and(Map::is_empty)
            });
            if let (Some(index), false) = (index, empty) {
                for (name, value) in names.iter().zip(&values) {
                    list.give_key(index, name, value);
                }
                out = list.set(out, Some(index), &names, &values)?;
            } else {
                let order = std::mem::take(&mut list.order);
                list.order = list.set(order, None, &names, &values)?;
            }
            valid_keys = names;
        }
        if !tuples.is_empty() {
            for index in list.order.clone() {
                out = list.append(out, index, &valid_keys)?;
            }
        } else {
            out = list.order.clone();
        }
        Ok(list.take(&out))
    }

    /// Where the items that are there stand by their key, if all of them and all of the patch have one
    /// and no two the same.
    fn unique(&self, own: &[Node], patch: &[Node], key: &str) -> Option<HashMap<Str, usize>> {
        let text = |item: &Node| -> Option<Str> {
            let text = self.scalars.text(item.get(key)?);
            (!text.is_empty()).then(|| text.as_ref().into())
        };
        let mut places = HashMap::with_capacity(own.len());
        for (i, item) in own.iter().enumerate() {
            if places.insert(text(item)?, i).is_some() {
                return None;
            }
        }
        let mut seen = HashSet::with_capacity(patch.len());
        patch
            .iter()
            .all(|item| text(item).is_some_and(|text| seen.insert(text)))
            .then_some(places)
    }

    /// The plain case: items of the patch in its order, merged with those that are there, then the
    /// rest of those.
    fn merge_unique(
        &mut self,
        own: Vec<Node>,
        patch: &[Node],
        places: &HashMap<Str, usize>,
        schema: Option<Schema>,
        keys: &'static [&'static str],
    ) -> Result<Vec<Node>, Unmergeable> {
        let mut own: Vec<Option<Node>> = own.into_iter().map(Some).collect();
        let mut result = Vec::with_capacity(own.len() + patch.len());
        let is_empty = |node: &Node| is_null(node) || node.as_map().is_some_and(Map::is_empty);
        for item in patch {
            let text = keys
                .first()
                .and_then(|key| item.get(key))
                .map(|n| self.scalars.text(n));
            let there = text.and_then(|text| places.get(text.as_ref()));
            let there = there.and_then(|i| own[*i].take());
            self.key = KeyOf::Item(keys);
            let is_replaced = directive(item).ok().flatten() == Some(Directive::Replace);
            let replaced = there.clone().filter(|_| is_replaced && !self.same);
            match self.walk(there, Some(item), schema)? {
                Walked::Nothing => {}
                // An item that is to be replaced stays as it is.
                Walked::New(_) if replaced.is_some() => result.extend(replaced),
                Walked::Kept(node) | Walked::New(node) => {
                    result.extend(Some(node).filter(|node| !is_empty(node)));
                }
            }
        }
        for item in own.into_iter().flatten() {
            self.key = KeyOf::Item(keys);
            let walked = self.walk(Some(item), None, schema)?;
            result.extend(walked.node().filter(|node| !is_empty(node)));
        }
        Ok(result)
    }

    /// A list whose item says what to do with the list: the first with `$patch`, if it has nothing
    /// else.
    fn list_directive(&self, patch: &Node) -> Result<Option<Directive>, Unmergeable> {
        let holder = patch
            .items()
            .iter()
            .find(|item| item.as_map().is_some_and(|m| m.get(DIRECTIVE).is_some()));
        match holder {
            Some(item) if item.entries().len() == 1 => directive(item),
            _ => Ok(None),
        }
    }
}

/// What is known of an object that names its own type.
fn own_schema(node: &Node) -> Option<Schema> {
    let text = |key: &str| node.get(key).and_then(Node::as_str);
    Schema::of(text("apiVersion")?, text("kind")?)
}

fn directive(patch: &Node) -> Result<Option<Directive>, Unmergeable> {
    let Some(node) = patch.as_map().and_then(|map| map.get(DIRECTIVE)) else {
        return Ok(None);
    };
    match node.as_str() {
        Some("merge") => Ok(Some(Directive::Merge)),
        Some("replace") => Ok(Some(Directive::Replace)),
        Some("delete") => Ok(Some(Directive::Delete)),
        _ => Err(Unmergeable {
            mark: node.mark,
            message: "unknown patch strategy: $patch is delete, replace or merge".to_owned(),
        }),
    }
}

fn without_directive(patch: &Node) -> Vec<Node> {
    let is_directive = |item: &&Node| {
        item.as_map()
            .is_some_and(|map| map.get(DIRECTIVE).is_some())
    };
    let is_empty = |item: &&Node| is_null(item) || item.as_map().is_some_and(Map::is_empty);
    let items = patch.items().iter();
    items
        .filter(|item| !is_directive(item) && !is_empty(item))
        .cloned()
        .collect()
}

fn into_items(node: Node) -> Vec<Node> {
    match node.value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn mismatch(own: Shape, patched: Shape, patch: &Node) -> Unmergeable {
    let name = |shape| match shape {
        Shape::Scalar => "a single value",
        Shape::List => "a list",
        Shape::Object => "a mapping",
    };
    Unmergeable {
        mark: patch.mark,
        message: format!(
            "wrong node kind: {} here, and {} in the object that it patches",
            name(patched),
            name(own)
        ),
    }
}

/// Tuples that agree as far as both say something become one.
fn join_tuples(tuples: &mut [Vec<Str>]) {
    for i in 0..tuples.len() {
        for j in 0..tuples.len() {
            let (a, b) = (&tuples[i], &tuples[j]);
            let mut agree = false;
            let mut joined = Vec::with_capacity(a.len());
            let mut fits = a.len() == b.len();
            for (x, y) in a.iter().zip(b) {
                agree |= x == y;
                fits &= x == y || x.is_empty() || y.is_empty();
                joined.push(if x.is_empty() { y.clone() } else { x.clone() });
            }
            if fits && agree {
                tuples[i].clone_from(&joined);
                tuples[j] = joined;
            }
        }
    }
}

/// The keys that any of the tuples has, with the values of one of them.
fn valid<'k>(tuples: &[Vec<Str>], values: &[Str], keys: &[&'k str]) -> (Vec<&'k str>, Vec<Str>) {
    let has = |i: usize| {
        tuples
            .iter()
            .any(|t| t.get(i).is_some_and(|v| !v.is_empty()))
    };
    let used: Vec<bool> = (0..keys.len()).map(has).collect();
    if !used.contains(&true) {
        return (keys.to_vec(), values.to_vec());
    }
    let names = keys.iter().zip(&used).filter(|(_, used)| **used);
    let values = values.iter().zip(&used).filter(|(_, used)| **used);
    (
        names.map(|(name, _)| *name).collect(),
        values.map(|(value, _)| value.clone()).collect(),
    )
}

/// Items that are in a list, or were, or may come into it.
struct List<'a> {
    nodes: Vec<Node>,
    /// The list itself.
    order: Vec<usize>,
    scalars: Scalars<'a>,
}

impl List<'_> {
    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The nodes in an order in which one may stand several times.
    fn take(mut self, order: &[usize]) -> Vec<Node> {
        let mut left = vec![0usize; self.nodes.len()];
        order.iter().for_each(|i| left[*i] += 1);
        let nodes = order.iter().map(|i| {
            left[*i] -= 1;
            match left[*i] {
                0 => std::mem::take(&mut self.nodes[*i]),
                _ => self.nodes[*i].clone(),
            }
        });
        nodes.collect()
    }

    /// The text of a key; empty where it is absent, null or empty.
    fn key_text(&self, item: &Node, key: &str) -> Str {
        item.get(key)
            .map_or_else(Str::default, |n| self.scalars.text(n).as_ref().into())
    }

    fn find(&self, order: &[usize], keys: &[&str], values: &[Str]) -> Option<usize> {
        let fits = |i: &&usize| self.fits_all(&self.nodes[**i], keys, values);
        order.iter().find(fits).copied()
    }

    fn fits_all(&self, item: &Node, keys: &[&str], values: &[Str]) -> bool {
        if keys.first().is_none_or(|key| key.is_empty()) {
            return values
                .first()
                .is_some_and(|value| *value == *self.scalars.text(item));
        }
        keys.iter().zip(values).all(|(key, value)| {
            let field = item.as_map().and_then(|map| map.get(key));
            field.is_some_and(|node| *value == *self.scalars.text(node))
        })
    }

    fn give_key(&mut self, index: usize, name: &str, value: &str) {
        let node = &mut self.nodes[index];
        let mark = node.mark;
        if let Value::Object(map) = &mut node.value
            && !name.is_empty()
            && !value.is_empty()
            && map.get(name).is_none()
        {
            map.insert(entry(name, mark, untyped(value)));
        }
    }

    /// Puts an item in the place of those with its keys, or at the end; takes them out where there
    /// is no item.
    fn set(
        &self,
        order: Vec<usize>,
        item: Option<usize>,
        keys: &[&str],
        values: &[Str],
    ) -> Result<Vec<usize>, Unmergeable> {
        let meant_for_objects = keys.first().is_some_and(|k| !k.is_empty())
            && values.first().is_some_and(|v| !v.is_empty());
        let mut result = Vec::with_capacity(order.len() + 1);
        let mut found = false;
        for index in order {
            let node = &self.nodes[index];
            if is_null(node) || node.as_map().is_some_and(Map::is_empty) {
                continue;
            }
            let is_object = matches!(node.value, Value::Object(_));
            if !is_object && meant_for_objects {
                result.push(index);
                continue;
            }
            let mut fits = true;
            for (i, key) in keys.iter().enumerate() {
                let Some(value) = values.get(i) else {
                    // Without a value to compare with, the last one compared counts.
                    fits &= i > 0;
                    continue;
                };
                fits &= self.fits_one(node, key, value)?;
                if !fits {
                    break;
                }
            }
            if fits {
                found = true;
                result.extend(item);
            } else if !values.is_empty() {
                result.push(index);
            }
        }
        if let Some(item) = item
            && !found
        {
            result.push(item);
        }
        Ok(result)
    }

    fn fits_one(&self, node: &Node, key: &str, value: &str) -> Result<bool, Unmergeable> {
        let wrong = || Unmergeable {
            mark: node.mark,
            message:
                "wrong node kind: the items of a list that is merged are either all mappings or \
                      all single values"
                    .to_owned(),
        };
        match &node.value {
            Value::Object(_) | Value::Array(_) if key.is_empty() => Err(wrong()),
            _ if key.is_empty() => Ok(*value == *self.scalars.text(node)),
            // An empty value fits whatever has the key.
            Value::Object(map) => Ok(map
                .get(key)
                .is_some_and(|n| value.is_empty() || *value == *self.scalars.text(n))),
            _ => Err(wrong()),
        }
    }

    /// Adds an item that was there, in the place of the one with its keys.
    fn append(
        &self,
        mut out: Vec<usize>,
        index: usize,
        keys: &[&str],
    ) -> Result<Vec<usize>, Unmergeable> {
        let node = &self.nodes[index];
        if keys.first().is_none_or(|key| key.is_empty()) {
            let value: Str = self.scalars.text(node).as_ref().into();
            return self.set(out, Some(index), &[""], &[value]);
        }
        let mut values = Vec::new();
        for key in keys {
            match node.as_map().and_then(|map| map.get(key)) {
                Some(value) => values.push(self.scalars.text(value).as_ref().into()),
                None => out.push(index),
            }
        }
        if keys.len() > 1 {
            out = self.set(out, None, keys, &values)?;
        }
        self.set(out, Some(index), keys, &values)
    }
}
