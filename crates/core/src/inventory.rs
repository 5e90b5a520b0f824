//! The neighbours of what is judged.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::{Namespace, Object};

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
}

/// Something that belongs to the stage and could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// The namespace that it may put objects into; any where none is said.
    pub namespace: Option<String>,
    /// What it is, such as `the chart redis of https://charts.example.com`.
    pub what: String,
}

/// Positions of the objects of one kind, in two orders.
#[derive(Debug, Default)]
struct KindIndex {
    group: String,
    by_namespace: Vec<usize>,
    by_name: Vec<usize>,
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
    match object.namespace() {
        Namespace::Named(name) => name,
        Namespace::Unknown(_) => "default",
    }
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
