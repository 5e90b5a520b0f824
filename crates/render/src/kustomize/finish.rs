//! What is done last, to everything: hashes, references, variables, order; and objects out of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use stagegate_core::{Mark, Node, Object, ObjectRef, Origin, Pointer, Str, Value};

use super::Context;
use super::build::{Accumulated, lacks};
use super::generate::content_hash;
use super::id::Id;
use super::load::Folder;
use super::order;
use super::resource::{History, Resource, entry, object_in, set_metadata};
use super::rewritten::rewrite;
use crate::Failure;

/// Why there are no objects.
pub(crate) enum Unfinished {
    Failed(Vec<Failure>),
    /// Only the program does this.
    Unsupported(Mark, &'static str),
}

impl From<Vec<Failure>> for Unfinished {
    fn from(failures: Vec<Failure>) -> Unfinished {
        Unfinished::Failed(failures)
    }
}

/// An annotation that says that an object is for tools, not for a cluster.
const LOCAL: &str = "config.kubernetes.io/local-config";
const ORIGIN: &str = "config.kubernetes.io/origin";
const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

impl Context<'_> {
    /// Finishes what was built.
    pub(crate) fn finish(
        &self,
        mut all: Accumulated,
        root: &Folder,
    ) -> Result<Vec<Object>, Unfinished> {
        let spec = root.spec()?;
        for resource in &mut all.resources {
            if !resource.needs_hash {
                continue;
            }
            // What is hashed is what kustomize writes.
            let mut written = resource.node.clone();
            rewrite(&mut written, &resource.history, self.tree.sources());
            let Some(hash) = content_hash(&written, self.scalars()) else {
                return Err(Unfinished::Unsupported(
                    resource.node.mark,
                    "a generated object that a patch gave another kind",
                ));
            };
            resource.remember();
            let name = format!("{}-{hash}", resource.id().name);
            set_metadata(&mut resource.node, "name", &name);
        }
        let configuration = all.configuration();
        self.name_references(&mut all.resources, &configuration)?;
        self.resolve_vars(&mut all.resources, &all.vars, &configuration)?;
        let mut resources = all.resources;
        for resource in &resources {
            if resource.id().of.version.is_empty() {
                let message = "this is no object, for it has no apiVersion: kubectl refuses it";
                return Err(vec![self.failure(resource.node.mark, message)].into());
            }
            if let Some(lacks) = lacks(&resource.node) {
                let message = format!(
                    "an object must have {lacks}, and a patch left it without: {}",
                    resource.history.written
                );
                return Err(vec![self.failure(resource.node.mark, message)].into());
            }
        }
        let mut seen: HashSet<Id> = HashSet::with_capacity(resources.len());
        for resource in &resources {
            let id = resource.id();
            if !seen.insert(id.clone().key()) {
                let message = format!("two objects have one id in the end: {id}");
                let failure = self.failure(resource.node.mark, message);
                return Err(vec![
                    failure.with_help("a patch or a replacement gave one the other's name"),
                ]
                .into());
            }
        }
        resources.retain(|resource| {
            let annotation = resource.node.path(&["metadata", "annotations", LOCAL]);
            annotation.is_none_or(|value| self.scalars().text(value) == "false")
        });
        order::sort(&mut resources, spec.sort.as_ref());
        let asks = |option: &str| spec.build_metadata.iter().any(|text| text.value == option);
        let mut objects = Vec::with_capacity(resources.len());
        let mut origins: HashMap<Vec<stagegate_core::FileId>, Arc<Origin>> = HashMap::new();
        for mut resource in resources {
            if asks("managedByLabel") {
                set_metadata_text(&mut resource.node, "labels", MANAGED_BY, "kustomize-v5.5.0");
            }
            if asks("originAnnotations") {
                let text = self.origin_text(&resource, root);
                set_metadata_text(&mut resource.node, "annotations", ORIGIN, &text);
            }
            if asks("transformerAnnotations") && !resource.history.transformations.is_empty() {
                let text = self.transformations_text(&resource.history, root);
                set_metadata_text(&mut resource.node, "annotations", TRANSFORMATIONS, &text);
            }
            rewrite(&mut resource.node, &resource.history, self.tree.sources());
            self.only_texts(&mut resource.node, "annotations");
            sort_keys(&mut resource.node);
            let chain: Vec<_> = resource.history.files.iter().rev().copied().collect();
            let origin = origins.entry(chain).or_insert_with_key(|chain| {
                Arc::new(Origin {
                    renderer: "kustomize",
                    chain: chain.clone(),
                    root: root.path.clone(),
                })
            });
            objects.extend(object(resource, Arc::clone(origin)));
        }
        Ok(objects)
    }

    /// A path as seen from the root.
    fn seen_from(&self, file: stagegate_core::FileId, root: &Folder) -> String {
        let path = self.tree.sources().path(file).unwrap_or_default();
        let absolute = self.tree.absolute(&path);
        crate::tree::relative_path(&root.real, &absolute)
    }

    fn origin_text(&self, resource: &Resource, root: &Folder) -> String {
        let first = resource.history.files.first().copied().unwrap_or_default();
        let path = self.seen_from(first, root);
        match resource.history.generated {
            None => format!("path: {path}\n"),
            Some(generator) => configured(&path, generator, ""),
        }
    }

    fn transformations_text(&self, history: &History, root: &Folder) -> String {
        let one = |(file, kind): &(stagegate_core::FileId, &'static str)| {
            let text = configured(&self.seen_from(*file, root), kind, "  ");
            format!("- {}", text.trim_start())
        };
        history.transformations.iter().map(one).collect()
    }
}

fn configured(path: &str, kind: &str, indent: &str) -> String {
    format!(
        "{indent}configuredIn: {path}\n{indent}configuredBy:\n{indent}  apiVersion: builtin\n{indent}  kind: {kind}\n"
    )
}

fn set_metadata_text(node: &mut Node, field: &str, key: &str, text: &str) {
    let mark = node.mark;
    let Some(metadata) = object_in(node, "metadata", mark) else {
        return;
    };
    let is_object = metadata
        .get(field)
        .is_some_and(|n| matches!(n.value, Value::Object(_)));
    if !is_object {
        metadata.insert(entry(
            field,
            mark,
            Value::Object(stagegate_core::Map::new()),
        ));
    }
    if let Some(Value::Object(held)) = metadata.get_mut(field).map(|n| &mut n.value) {
        held.insert(entry(key, mark, Value::String(text.into())));
    }
}

fn object(resource: Resource, origin: Arc<Origin>) -> Option<Object> {
    let Resource { node, history, .. } = resource;
    let mut object = Object::new(node, origin)?;
    let source = ObjectRef {
        namespace: if history.generated.is_some() {
            object.reference.namespace.clone()
        } else {
            history.written.namespace.clone()
        },
        ..(*history.written).clone()
    };
    object.source = (source != object.reference).then(|| Box::new(source));
    object.removed = removed_from(&object.node, &history.removed);
    object.overridden = history.overridden;
    object.overridden.sort_unstable();
    object.overridden.dedup();
    Some(object)
}

/// Where what was taken out would stand, if nothing came in its place.
fn removed_from(node: &Node, removed: &[(Mark, Str, Mark)]) -> Vec<(Pointer, Mark)> {
    fn walk(
        node: &Node,
        at: &Pointer,
        removed: &[(Mark, Str, Mark)],
        found: &mut Vec<(Pointer, Mark)>,
    ) {
        match &node.value {
            Value::Object(map) => {
                for (held_by, key, by) in removed {
                    if *held_by == node.mark && map.get(key).is_none() {
                        found.push((at.clone().join(key), *by));
                    }
                }
                for entry in map.iter() {
                    walk(&entry.node, &at.clone().join(&entry.key), removed, found);
                }
            }
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    walk(item, &at.clone().join(i), removed, found);
                }
            }
            _ => {}
        }
    }
    if removed.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    walk(node, &Pointer::root(), removed, &mut found);
    found.sort();
    found.dedup();
    found
}

/// kustomize writes members in the order of their names.
fn sort_keys(node: &mut Node) {
    match &mut node.value {
        Value::Object(map) => {
            map.sort();
            map.iter_mut().for_each(|entry| sort_keys(&mut entry.node));
        }
        Value::Array(items) => items.iter_mut().for_each(sort_keys),
        _ => {}
    }
}
