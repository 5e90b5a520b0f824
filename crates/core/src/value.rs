//! A JSON value whose every node knows where it was written.
//!
//! A tree of its own instead of `serde_json::Value` beside a table of marks, for two reasons: a
//! renderer that moves, merges or replaces nodes cannot lose their marks, and with short strings
//! stored in place the tree needs about half the memory of `serde_json`'s maps, which decides how
//! large a repository fits into a CI job.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::{Mark, Pointer};

/// The text of keys and string values: up to 24 bytes are stored in place.
pub type Str = compact_str::CompactString;

/// How deep objects and lists may nest, in both doors: deeper input is an error, never a crash.
/// Kubernetes' own objects stay below 50.
pub const MAX_DEPTH: usize = 256;

/// A value and where it was written.
///
/// Equality compares values only: the same object read from two files is equal.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Where the value was written.
    pub mark: Mark,
    /// The value.
    pub value: Value,
}

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`; the API server treats it as absent.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(Str),
    /// A list.
    Array(Vec<Node>),
    /// An object, in the order in which it was written.
    Object(Map),
}

/// A number as the API server reads it: a 64-bit integer where it fits, else a double.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// Anything else; always finite.
    Float(f64),
}

/// A key, its place, and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Str,
    /// Where the key was written.
    pub key_mark: Mark,
    /// The value.
    pub node: Node,
}

/// The entries of an object, in the order in which they were written; keys are unique.
///
/// Lookup walks the entries: Kubernetes' objects have few keys, and a short walk beats hashing.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Vec<Entry>,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self
                .entries
                .iter()
                .all(|e| other.get(&e.key).is_some_and(|n| *n == e.node))
    }
}

impl Node {
    /// A node that was not written in any file.
    pub fn unmarked(value: Value) -> Self {
        Node {
            mark: Mark::NONE,
            value,
        }
    }

    /// The member of that name, if this is an object that has it. `null` counts as absent, as it
    /// does for the API server.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Object(map) => map.get(key).filter(|n| !matches!(n.value, Value::Null)),
            _ => None,
        }
    }

    /// The node behind a chain of member names.
    pub fn path(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The string, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The whole number, if this is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self.value {
            Value::Number(Number::Int(i)) => Some(i),
            _ => None,
        }
    }

    /// The items, if this is a list; else nothing.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// The entries, if this is an object; else nothing.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Object(map) => &map.entries,
            _ => &[],
        }
    }

    /// The object's members, if this is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Object(map) => Some(map),
            _ => None,
        }
    }

    /// The node that a pointer names; `null` values are found too.
    pub fn at(&self, pointer: &Pointer) -> Option<&Node> {
        pointer
            .segments()
            .try_fold(self, |node, segment| node.child(&segment))
    }

    /// The node that a pointer names, or its nearest ancestor that exists: where a person would
    /// add what is missing.
    pub fn nearest(&self, pointer: &Pointer) -> &Node {
        let mut node = self;
        for segment in pointer.segments() {
            match node.child(&segment) {
                Some(child) if !matches!(child.value, Value::Null) => node = child,
                _ => break,
            }
        }
        node
    }

    fn child(&self, segment: &str) -> Option<&Node> {
        match &self.value {
            Value::Object(map) => map.get(segment),
            Value::Array(items) => segment.parse::<usize>().ok().and_then(|i| items.get(i)),
            _ => None,
        }
    }

    /// Calls `f` with this node's mark and that of every node and key below it.
    pub fn for_each_mark_mut(&mut self, f: &mut impl FnMut(&mut Mark)) {
        f(&mut self.mark);
        match &mut self.value {
            Value::Array(items) => items.iter_mut().for_each(|n| n.for_each_mark_mut(f)),
            Value::Object(map) => {
                for entry in &mut map.entries {
                    f(&mut entry.key_mark);
                    entry.node.for_each_mark_mut(f);
                }
            }
            _ => {}
        }
    }
}

impl Map {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// From entries whose keys are unique.
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        Map { entries }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|e| e.key == key).map(|e| &e.node)
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries
            .iter_mut()
            .find(|e| e.key == key)
            .map(|e| &mut e.node)
    }

    /// Sets a key: the value replaces an existing one in its place, or is added at the end.
    pub fn insert(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|e| e.key == entry.key) {
            Some(existing) => *existing = entry,
            None => self.entries.push(entry),
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|e| e.key == key)?;
        Some(self.entries.remove(index))
    }

    /// The entries, taken out of it.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Puts the entries in the order of their keys.
    pub fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.key.cmp(&b.key));
    }

    /// The entries in the order in which they were written.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// The entries, to change their values.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Entry> {
        self.entries.iter_mut()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Number {
    /// The API server's reading of a double: whole numbers that fit become integers.
    /// `None` for what JSON cannot hold (infinities, not a number).
    pub fn from_f64(f: f64) -> Option<Number> {
        if !f.is_finite() {
            return None;
        }
        // 2^63 itself does not fit; -2^63 does.
        if f.fract() == 0.0
            && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&f)
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the range was just checked"
            )]
            return Some(Number::Int(f as i64));
        }
        Some(Number::Float(f))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(i) => write!(f, "{i}"),
            // Debug formatting switches to an exponent for large numbers, as JSON writers do.
            #[expect(clippy::use_debug, reason = "the format is the point")]
            Number::Float(x) => write!(f, "{x:?}"),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Number(Number::Int(i)) => serializer.serialize_i64(*i),
            Value::Number(Number::Float(f)) => serializer.serialize_f64(*f),
            Value::String(s) => serializer.serialize_str(s),
            Value::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Value::Object(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for entry in map.iter() {
                    out.serialize_entry(entry.key.as_str(), &entry.node)?;
                }
                out.end()
            }
        }
    }
}

/// Reads JSON that came over the wire; no node has a mark. A key that stands twice is an error
/// (the API server never sends one), and so is nesting beyond [`MAX_DEPTH`].
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NodeSeed { depth: 0 }.deserialize_node(deserializer)
    }
}

#[derive(Clone, Copy)]
struct NodeSeed {
    depth: usize,
}

impl NodeSeed {
    fn deserialize_node<'de, D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self).map(Node::unmarked)
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!(
                "nested deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(NodeSeed {
            depth: self.depth + 1,
        })
    }
}

impl<'de> de::DeserializeSeed<'de> for NodeSeed {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.deserialize_node(deserializer)
    }
}

impl<'de> Visitor<'de> for NodeSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, i: i64) -> Result<Value, E> {
        Ok(Value::Number(Number::Int(i)))
    }

    fn visit_u64<E: de::Error>(self, u: u64) -> Result<Value, E> {
        match i64::try_from(u) {
            Ok(i) => Ok(Value::Number(Number::Int(i))),
            #[expect(
                clippy::cast_precision_loss,
                reason = "what the API server does with it"
            )]
            Err(_) => Ok(Value::Number(Number::Float(u as f64))),
        }
    }

    fn visit_f64<E: de::Error>(self, f: f64) -> Result<Value, E> {
        Number::from_f64(f)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that JSON cannot hold"))
    }

    fn visit_str<E>(self, s: &str) -> Result<Value, E> {
        Ok(Value::String(Str::new(s)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = MapBuilder::default();
        while let Some(key) = access.next_key::<std::borrow::Cow<'de, str>>()? {
            let node = access.next_value_seed(inner)?;
            let entry = Entry {
                key: Str::new(&key),
                key_mark: Mark::NONE,
                node,
            };
            if map.push(entry).is_some() {
                return Err(de::Error::custom(format_args!(
                    "the key {key:?} stands twice"
                )));
            }
        }
        Ok(Value::Object(map.finish()))
    }
}

/// Builds a [`Map`] from entries whose keys may repeat, in linear time also for large maps.
#[derive(Default)]
pub struct MapBuilder {
    entries: Vec<Entry>,
    index: Option<std::collections::HashMap<Str, usize>>,
}

/// Up to this many keys a walk is faster than hashing.
const WALK_UP_TO: usize = 24;

impl MapBuilder {
    /// The position of a key.
    pub fn position(&mut self, key: &str) -> Option<usize> {
        if self.entries.len() <= WALK_UP_TO {
            return self.entries.iter().position(|e| e.key == key);
        }
        let entries = &self.entries;
        self.index
            .get_or_insert_with(|| {
                entries
                    .iter()
                    .enumerate()
                    .map(|(i, e)| (e.key.clone(), i))
                    .collect()
            })
            .get(key)
            .copied()
    }

    /// Adds an entry; one with an equal key is replaced in its place and given back.
    pub fn push(&mut self, entry: Entry) -> Option<Entry> {
        if let Some(index) = self.position(&entry.key) {
            return Some(std::mem::replace(&mut self.entries[index], entry));
        }
        if let Some(index) = &mut self.index {
            index.insert(entry.key.clone(), self.entries.len());
        }
        self.entries.push(entry);
        None
    }

    /// The entries so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The map.
    pub fn finish(mut self) -> Map {
        // Growth by doubling leaves half of the space unused in large trees of small maps.
        self.entries.shrink_to_fit();
        Map {
            entries: self.entries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_stays_small() {
        // The memory of a lint run is nodes; see BENCHMARKS.md.
        assert!(size_of::<Node>() <= 48, "{}", size_of::<Node>());
        assert!(size_of::<Entry>() <= 88, "{}", size_of::<Entry>());
    }

    #[test]
    fn whole_doubles_become_integers() {
        assert_eq!(Number::from_f64(1e3), Some(Number::Int(1000)));
        assert_eq!(Number::from_f64(0.5), Some(Number::Float(0.5)));
        assert_eq!(Number::from_f64(1e20), Some(Number::Float(1e20)));
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(
            Number::from_f64(-9_223_372_036_854_775_808.0),
            Some(Number::Int(i64::MIN))
        );
        assert_eq!(
            Number::from_f64(9_223_372_036_854_775_808.0),
            Some(Number::Float(9_223_372_036_854_775_808.0))
        );
    }

    #[test]
    fn equality_ignores_the_order_of_keys_but_not_of_items() {
        let a: Node = serde_json::from_str(r#"{"a": 1, "b": [1, 2]}"#).unwrap();
        let b: Node = serde_json::from_str(r#"{"b": [1, 2], "a": 1}"#).unwrap();
        let c: Node = serde_json::from_str(r#"{"b": [2, 1], "a": 1}"#).unwrap();
        assert_eq!(a, b);
        assert_ne!(a, c);
    }

    #[test]
    fn a_repeated_key_and_deep_nesting_are_errors() {
        assert!(serde_json::from_str::<Node>(r#"{"a": 1, "a": 2}"#).is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(serde_json::from_str::<Node>(&deep).is_err());
    }

    #[test]
    fn large_maps_keep_their_order_and_find_their_keys() {
        let mut builder = MapBuilder::default();
        for i in 0..1000 {
            let key = Str::new(format!("k{}", i % 500));
            let replaced = builder.push(Entry {
                key,
                key_mark: Mark::NONE,
                node: Node::unmarked(Value::Number(Number::Int(i))),
            });
            assert_eq!(replaced.is_some(), i >= 500);
        }
        let map = builder.finish();
        assert_eq!(map.len(), 500);
        assert_eq!(map.get("k7").and_then(Node::as_i64), Some(507));
        assert_eq!(map.iter().next().map(|e| e.key.as_str()), Some("k0"));
    }
}
