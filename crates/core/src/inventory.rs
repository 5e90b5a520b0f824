//! The neighbours of what is judged.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::Object;

/// The objects of one stage, or of one cluster: a snapshot that policies may look at besides
/// their subject.
///
/// Nothing is copied: objects are shared. Duplicates are kept, because two files that declare
/// one object are something to tell. Indexes are built once, when first asked for.
#[derive(Debug, Default)]
pub struct Inventory {
    objects: Vec<Arc<Object>>,
    by_kind: OnceLock<HashMap<(String, String), Vec<usize>>>,
}

impl Inventory {
    /// An inventory of these objects, in this order.
    pub fn new(objects: Vec<Arc<Object>>) -> Self {
        Inventory {
            objects,
            by_kind: OnceLock::new(),
        }
    }

    /// Every object.
    pub fn objects(&self) -> &[Arc<Object>] {
        &self.objects
    }

    /// The objects of a kind, whatever their version; `group` is empty for the core group.
    pub fn of_kind(&self, group: &str, kind: &str) -> impl Iterator<Item = &Arc<Object>> {
        let index = self.by_kind.get_or_init(|| {
            let mut index: HashMap<(String, String), Vec<usize>> = HashMap::new();
            for (i, object) in self.objects.iter().enumerate() {
                let reference = &object.reference;
                index
                    .entry((reference.group().to_owned(), reference.kind.clone()))
                    .or_default()
                    .push(i);
            }
            index
        });
        index
            .get(&(group.to_owned(), kind.to_owned()))
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .map(|&i| &self.objects[i])
    }
}
