//! The neighbours of what is judged.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::{Derived, Labels, Node, Object, selector};

/// The objects of one stage, or of one cluster: a snapshot that policies may look at besides
/// their subject.
///
/// Nothing is copied: objects are shared. Duplicates are kept, because two files that declare
/// one object are something to tell. Indexes are built once, when first asked for.
#[derive(Debug, Default)]
pub struct Inventory {
    objects: Vec<Arc<Object>>,
    gaps: Vec<Gap>,
    index: OnceLock<HashMap<String, Vec<KindIndex>>>,
    derived: Derived,
}

/// Something that belongs to the stage and could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// The namespace that it may put objects into; any where none is said.
    pub namespace: Option<String>,
    /// What it is, such as `the chart redis of https://charts.example.com`.
    pub what: String,
}

/// Positions of the objects of one kind, in two orders and by what they select.
#[derive(Debug, Default)]
struct KindIndex {
    group: String,
    by_namespace: Vec<usize>,
    by_name: Vec<usize>,
    by_selector: OnceLock<SelectorIndex>,
    by_text: OnceLock<TextIndex>,
}

/// Objects with label selectors, each under one label that it asks for.
#[derive(Debug, Default)]
struct SelectorIndex {
    /// Where the selector stands.
    path: &'static [&'static str],
    /// By namespace, label and value.
    by_label: HashMap<String, HashMap<String, HashMap<String, Vec<usize>>>>,
    /// By namespace: those that ask for no label.
    others: HashMap<String, Vec<usize>>,
}

/// Objects by a text in them, such as the name of what they are for.
#[derive(Debug, Default)]
struct TextIndex {
    path: &'static [&'static str],
    /// By namespace and text.
    by_text: HashMap<String, HashMap<String, Vec<usize>>>,
}

impl Inventory {
    /// An inventory of these objects, in this order.
    pub fn new(objects: Vec<Arc<Object>>) -> Self {
        Inventory {
            objects,
            ..Inventory::default()
        }
    }

    /// Says what could not be looked into.
    #[must_use]
    pub fn with_gaps(mut self, gaps: Vec<Gap>) -> Self {
        self.gaps = gaps;
        self
    }

    /// Every object.
    pub fn objects(&self) -> &[Arc<Object>] {
        &self.objects
    }

    /// What could not be looked into.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Another form of the whole, made by the first policy that needs it and kept for all reviews
    /// that look at this inventory. One form a type.
    pub fn derived<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.derived.get(make)
    }

    /// The objects of a kind, whatever their version; `group` is empty for the core group.
    pub fn of_kind(&self, group: &str, kind: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.kind(group, kind)
            .map_or(&[][..], |index| index.by_namespace.as_slice())
            .iter()
            .map(|&i| &self.objects[i])
    }

    /// Those of them that share a namespace with an object.
    pub fn beside<'i>(
        &'i self,
        object: &'i Object,
        group: &str,
        kind: &str,
    ) -> impl Iterator<Item = &'i Arc<Object>> {
        let index = self.kind(group, kind).map(|k| k.by_namespace.as_slice());
        let bucket = bucket(object);
        let of_bucket = self.equal_range(index.unwrap_or_default(), move |other| {
            self::bucket(other).cmp(bucket)
        });
        of_bucket
            .iter()
            .map(|&i| &self.objects[i])
            .filter(|other| other.shares_namespace(object))
    }

    /// The objects that are the same as one to the cluster, itself included, in the order of the
    /// inventory.
    pub fn same_as<'i>(&'i self, object: &'i Object) -> impl Iterator<Item = &'i Arc<Object>> {
        let reference = &object.reference;
        let index = self.kind(reference.group(), &reference.kind);
        let of_name = self.equal_range(index.map_or(&[][..], |k| k.by_name.as_slice()), |other| {
            other.reference.name.cmp(&reference.name)
        });
        of_name
            .iter()
            .map(|&i| &self.objects[i])
            .filter(|other| other.is_same_as(object))
    }

    /// The objects of a kind that share a namespace with an object and may select these labels by
    /// the selector at `path`. A superset: whoever asks has to see whether they do. One path a kind.
    pub(crate) fn may_select<'i>(
        &'i self,
        object: &'i Object,
        (group, kind): (&str, &str),
        path: &'static [&'static str],
        labels: &Labels<'_>,
    ) -> Vec<&'i Arc<Object>> {
        let Some(index) = self.kind(group, kind) else {
            return Vec::new();
        };
        let selectors = index
            .by_selector
            .get_or_init(|| self.index_selectors(&index.by_name, path));
        debug_assert_eq!(selectors.path, path, "one path a kind");
        let bucket = bucket(object);
        let mut found: Vec<usize> = Vec::new();
        if let Some(by_label) = selectors.by_label.get(bucket) {
            for (key, value) in labels.iter() {
                let of_value = by_label.get(key).and_then(|values| values.get(value));
                found.extend(of_value.into_iter().flatten());
            }
        }
        found.extend(selectors.others.get(bucket).into_iter().flatten());
        found.sort_unstable();
        // A selector may name one value twice.
        found.dedup();
        let found = found.into_iter().map(|i| &self.objects[i]);
        found
            .filter(|other| other.shares_namespace(object))
            .collect()
    }

    fn index_selectors(&self, all: &[usize], path: &'static [&'static str]) -> SelectorIndex {
        let pairs = |i: usize| {
            let selector = self.objects[i].node.path(path);
            selector.into_iter().flat_map(selector::required)
        };
        // A label that many ask for tells them apart badly: each stands under its rarest.
        let mut counts: HashMap<(&str, &str, &str), usize> = HashMap::new();
        for &i in all {
            let bucket = bucket(&self.objects[i]);
            for (key, values) in pairs(i) {
                for value in values {
                    *counts.entry((bucket, key, value)).or_default() += 1;
                }
            }
        }
        let mut index = SelectorIndex {
            path,
            ..SelectorIndex::default()
        };
        for &i in all {
            let bucket = bucket(&self.objects[i]);
            let commonest = |(key, values): &(&str, Vec<&str>)| {
                let counts = values
                    .iter()
                    .map(|value| counts.get(&(bucket, *key, *value)));
                counts.flatten().sum::<usize>()
            };
            match pairs(i).min_by_key(commonest) {
                Some((key, values)) => {
                    let by_label = index.by_label.entry(bucket.to_owned()).or_default();
                    let by_value = by_label.entry(key.to_owned()).or_default();
                    for value in values {
                        by_value.entry(value.to_owned()).or_default().push(i);
                    }
                }
                None => index.others.entry(bucket.to_owned()).or_default().push(i),
            }
        }
        index
    }

    /// The objects of a kind that share a namespace with an object and hold a text at `path`. One
    /// path a kind.
    pub(crate) fn with_text<'i>(
        &'i self,
        object: &'i Object,
        (group, kind): (&str, &str),
        path: &'static [&'static str],
        text: &str,
    ) -> impl Iterator<Item = &'i Arc<Object>> {
        let found = self.kind(group, kind).and_then(|index| {
            let texts = index.by_text.get_or_init(|| {
                let mut texts = TextIndex {
                    path,
                    ..TextIndex::default()
                };
                for &i in &index.by_name {
                    let object = &self.objects[i];
                    if let Some(text) = object.node.path(path).and_then(Node::as_str) {
                        let of_bucket = texts.by_text.entry(bucket(object).to_owned());
                        let of_text = of_bucket.or_default().entry(text.to_owned());
                        of_text.or_default().push(i);
                    }
                }
                texts
            });
            debug_assert_eq!(texts.path, path, "one path a kind");
            texts.by_text.get(bucket(object))?.get(text)
        });
        let found = found.map_or(&[][..], Vec::as_slice).iter();
        found
            .map(|&i| &self.objects[i])
            .filter(|other| other.shares_namespace(object))
    }

    /// The objects of a kind with a name, in every namespace.
    pub fn named<'i>(
        &'i self,
        group: &str,
        kind: &str,
        name: &'i str,
    ) -> impl Iterator<Item = &'i Arc<Object>> {
        let index = self.kind(group, kind);
        let of_name = self.equal_range(
            index.map_or(&[][..], |k| k.by_name.as_slice()),
            move |other| other.reference.name.as_str().cmp(name),
        );
        of_name.iter().map(|&i| &self.objects[i])
    }

    /// The part of sorted positions whose objects compare equal.
    fn equal_range<'i>(
        &'i self,
        sorted: &'i [usize],
        compare: impl Fn(&Object) -> Ordering,
    ) -> &'i [usize] {
        let start = sorted.partition_point(|&i| compare(&self.objects[i]).is_lt());
        let end = sorted.partition_point(|&i| compare(&self.objects[i]).is_le());
        &sorted[start..end]
    }

    fn kind(&self, group: &str, kind: &str) -> Option<&KindIndex> {
        self.index
            .get_or_init(|| self.build_index())
            .get(kind)?
            .iter()
            .find(|index| index.group == group)
    }

    fn build_index(&self) -> HashMap<String, Vec<KindIndex>> {
        let mut kinds: HashMap<String, Vec<KindIndex>> = HashMap::new();
        for (i, object) in self.objects.iter().enumerate() {
            let reference = &object.reference;
            if !kinds.contains_key(&reference.kind) {
                kinds.insert(reference.kind.clone(), Vec::new());
            }
            let Some(groups) = kinds.get_mut(&reference.kind) else {
                continue;
            };
            let group = reference.group();
            match groups.iter_mut().find(|index| index.group == group) {
                Some(index) => index.by_name.push(i),
                None => groups.push(KindIndex {
                    group: group.to_owned(),
                    by_name: vec![i],
                    ..KindIndex::default()
                }),
            }
        }
        for index in kinds.values_mut().flatten() {
            index.by_namespace.clone_from(&index.by_name);
            // Stable: equal keys stay in the order of the inventory.
            index
                .by_namespace
                .sort_by_key(|&i| bucket(&self.objects[i]));
            index
                .by_name
                .sort_by_key(|&i| self.objects[i].reference.name.as_str());
        }
        kinds
    }
}

/// Objects of different buckets never share a namespace; `default` and what has no name are in one.
fn bucket(object: &Object) -> &str {
    object.namespace().name()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Node, Origin};

    fn object(root: &str, kind: &str, namespace: &str, name: &str) -> Arc<Object> {
        let node: Node = serde_json::from_value(serde_json::json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {"namespace": namespace, "name": name},
        }))
        .unwrap();
        let origin = Arc::new(Origin {
            root: root.to_owned(),
            ..Origin::default()
        });
        Arc::new(Object::new(node, origin).unwrap())
    }

    #[test]
    fn an_unknown_namespace_is_one_of_its_root() {
        let inventory = Inventory::new(vec![
            object("a", "Service", "", "x"),
            object("b", "Service", "", "x"),
            object("a", "Service", "default", "x"),
            object("b", "Service", "shop", "x"),
            object("b", "Secret", "", "x"),
        ]);
        let found = |root: &str, namespace: &str| {
            let asked = object(root, "Pod", namespace, "p");
            let beside = inventory.beside(&asked, "", "Service");
            beside
                .map(|o| {
                    format!(
                        "{}:{}",
                        o.origin.root,
                        o.reference.namespace.as_deref().unwrap_or("")
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(found("a", ""), ["a:", "a:default"]);
        assert_eq!(found("b", ""), ["b:"]);
        assert_eq!(found("b", "default"), ["b:", "a:default"]);
        assert_eq!(found("a", "shop"), ["b:shop"]);
        assert_eq!(found("c", ""), [""; 0]);
    }

    proptest::proptest! {
        /// The index finds what looking at every object finds.
        #[test]
        fn indexed_selectors_are_the_same_as_all(
            selectors in proptest::collection::vec(
                (0..3usize, "[ab]", proptest::collection::btree_map("[ab]", "[xy]", 0..3),
                 proptest::option::of(("[ab]", proptest::sample::select(vec!["In", "NotIn", "Exists"]),
                                       proptest::collection::vec("[xy]", 0..3)))), 0..8),
            labels in proptest::collection::btree_map("[ab]", "[xy]", 0..3),
        ) {
            let namespaces = ["", "default", "shop"];
            let objects = selectors.iter().enumerate().map(|(i, (namespace, root, equal, expression))| {
                let mut selector = serde_json::json!({"matchLabels": equal});
                if let Some((key, operator, values)) = expression {
                    selector["matchExpressions"] =
                        serde_json::json!([{"key": key, "operator": operator, "values": values}]);
                }
                let node: Node = serde_json::from_value(serde_json::json!({
                    "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                    "metadata": {"name": i.to_string(), "namespace": namespaces[*namespace]},
                    "spec": {"selector": selector},
                })).unwrap();
                let origin = Arc::new(Origin { root: root.clone(), ..Origin::default() });
                Arc::new(Object::new(node, origin).unwrap())
            });
            let inventory = Inventory::new(objects.collect());
            let labels: Node = serde_json::from_value(serde_json::json!(labels)).unwrap();
            let labels = Labels::of(Some(&labels));
            let selects = |o: &&Arc<Object>| {
                selector::selects(o.node.path(&["spec", "selector"]), &labels)
            };
            for namespace in namespaces {
                let asked = object("a", "Pod", namespace, "p");
                let kind = ("policy", "PodDisruptionBudget");
                let indexed = inventory.may_select(&asked, kind, &["spec", "selector"], &labels);
                let names = |objects: Vec<&Arc<Object>>| {
                    let names = objects.into_iter().filter(selects);
                    let mut names: Vec<String> = names.map(|o| o.reference.name.clone()).collect();
                    names.sort();
                    names
                };
                let all = inventory.beside(&asked, kind.0, kind.1).collect();
                proptest::prop_assert_eq!(names(indexed), names(all));
            }
        }
    }

    #[test]
    fn one_object_is_told_by_group_kind_namespace_and_name() {
        let inventory = Inventory::new(vec![
            object("a", "Namespace", "", "x"),
            object("b", "Namespace", "y", "x"),
            object("a", "Secret", "", "x"),
            object("b", "Secret", "", "x"),
            object("a", "Secret", "", ""),
            object("a", "Secret", "", ""),
        ]);
        let same = |i: usize| inventory.same_as(&inventory.objects()[i]).count();
        // A Namespace is in no namespace, whatever is written.
        assert_eq!([same(0), same(1)], [2, 2]);
        assert_eq!([same(2), same(3)], [1, 1]);
        // What has no name yet is never the same.
        assert_eq!(same(4), 0);
    }
}
