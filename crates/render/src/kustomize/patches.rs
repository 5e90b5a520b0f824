//! Patches: reading them and doing them.

use std::collections::HashSet;

use stagegate_core::{Map, Mark, Node, Str, Value};
use stagegate_manifest::{Format, Loaded, Profile, load_exactly};

use super::id::{Id, Type};
use super::limits::weight;
use super::merge::{Merged, merge};
use super::resource::{Resource, entry, object_in, set_metadata};
use super::rewritten::rewrite_for_json;
use super::scalars::text_after_json;
use super::scalars::write_dates;
use super::spec::Patch;
use super::{Context, json_patch};
use crate::Failure;
use crate::inline::inline;

/// A patch that was read.
pub(crate) enum ParsedPatch {
    /// Strategic merge patches, one a document.
    Merge(Vec<Node>),
    /// The steps of a JSON patch.
    Json(Vec<Node>),
}

impl Context<'_> {
    /// Reads a patch, and says why it is none.
    pub(crate) fn parsed<'p>(
        &self,
        patch: &'p Patch,
        folder: &str,
    ) -> Result<&'p ParsedPatch, Vec<Failure>> {
        let parsed = patch.parsed.get_or_init(|| self.read_patch(patch, folder));
        parsed.as_ref().map_err(Clone::clone)
    }

    fn read_patch(&self, patch: &Patch, folder: &str) -> Result<ParsedPatch, Vec<Failure>> {
        let fail = |message: &str| vec![self.failure(patch.mark, message)];
        let file;
        let (read, mark): (Box<dyn Fn(Profile) -> Loaded>, Mark) =
            match (&patch.path, &patch.inline) {
                (Some(_), Some(_)) => {
                    return Err(fail("patch and path can't be set at the same time"));
                }
                (None, None) => return Err(fail("must specify one of patch and path")),
                (Some(path), None) => {
                    file = self.read(folder, path)?;
                    let (id, source) = &file;
                    let read = |profile| load_exactly(*id, source, Format::Yaml, profile);
                    (Box::new(read), Mark::new(*id, 0, 0))
                }
                (None, Some(text)) => {
                    let read =
                        |profile| inline(text, self.tree.sources(), profile, patch.is_trimmed);
                    (Box::new(read), text.mark)
                }
            };
        let as_merge = read(Profile::Kustomize);
        let is_list = |node: &Node| matches!(node.value, Value::Array(_));
        if !as_merge.problems.is_empty() || as_merge.documents.first().is_some_and(is_list) {
            // Steps are read as YAML 1.1. Of several documents with steps, kustomize does the first.
            let steps = read(Profile::Apply).documents.into_iter().next();
            if let Some(Value::Array(steps)) = steps.map(|node| node.value) {
                return Ok(ParsedPatch::Json(steps));
            }
        }
        if let Some(problem) = as_merge.problems.into_iter().next() {
            return Err(vec![self.failure(problem.mark, problem.message)]);
        }
        let mut documents: Vec<Node> = as_merge
            .documents
            .into_iter()
            .flat_map(lists_apart)
            .collect();
        for document in &mut documents {
            write_dates(document, self.scalars());
        }
        if documents.is_empty() {
            return Err(vec![self.failure(mark, "the patch is empty")]);
        }
        for document in &documents {
            let id = Id::of(document);
            let lacks = match (&document.value, id.of.kind.is_empty(), id.name.is_empty()) {
                (Value::Object(_), true, _) => "a kind",
                (Value::Object(_), _, true) if !id.of.kind.ends_with("List") => "a metadata.name",
                (Value::Object(_), ..) => continue,
                _ => "a kind and a metadata.name",
            };
            let failure = self.failure(
                document.mark,
                format!("unable to parse SM or JSON patch: a strategic merge patch has {lacks}"),
            );
            return Err(vec![failure.with_help(
                "a JSON patch is a list of steps; a strategic merge patch names what it patches, \
                 also where a target is given",
            )]);
        }
        Ok(ParsedPatch::Merge(documents))
    }

    /// An entry of `patches`.
    pub(crate) fn patch(
        &self,
        resources: &mut Vec<Resource>,
        patch: &Patch,
        folder: &str,
    ) -> Result<(), Vec<Failure>> {
        match self.parsed(patch, folder)? {
            ParsedPatch::Json(steps) => {
                let Some(target) = &patch.target else {
                    return Err(vec![
                        self.failure(patch.mark, "must specify a target for a JSON patch"),
                    ]);
                };
                for resource in resources.iter_mut() {
                    if target.selects(resource, self.scalars()) {
                        resource.remember();
                        self.do_steps(resource, steps)?;
                    }
                }
                self.bound(resources, patch.mark)
            }
            ParsedPatch::Merge(documents) => match &patch.target {
                Some(target) => {
                    let [document] = documents.as_slice() else {
                        return Err(vec![self.failure(
                            patch.mark,
                            "several strategic merge patches in one entry of patches, which may then \
                             have no target",
                        )]);
                    };
                    let selected: Vec<bool> = resources
                        .iter()
                        .map(|r| target.selects(r, self.scalars()))
                        .collect();
                    self.merge_into(resources, &selected, document, patch)
                }
                None => {
                    let mut deleted: Option<Mark> = None;
                    for document in documents {
                        if let Some(mark) = deleted {
                            let message = "kustomize breaks off at a document behind one that deletes an object";
                            let failure = self.failure(document.mark, message);
                            let place = self.tree.sources().locate(mark);
                            let line = place.map_or(0, |place| place.line);
                            return Err(vec![failure.with_help(format!(
                                "put the one of line {line} last, or into an entry of its own"
                            ))]);
                        }
                        let Some(index) = self.one_target(resources, document)? else {
                            continue;
                        };
                        self.merge_one(&mut resources[index], document.clone(), patch)?;
                        if matches!(resources[index].node.value, Value::Null) {
                            deleted = Some(document.mark);
                        }
                    }
                    drop_empty(resources);
                    Ok(())
                }
            },
        }
    }

    /// An item of `patchesStrategicMerge`.
    pub(crate) fn strategic_merge(
        &self,
        resources: &mut Vec<Resource>,
        patch: &Patch,
        folder: &str,
    ) -> Result<(), Vec<Failure>> {
        let ParsedPatch::Merge(documents) = self.parsed(patch, folder)? else {
            return Err(vec![
                self.failure(patch.mark, "a JSON patch, which belongs under patches"),
            ]);
        };
        for document in documents {
            let Some(index) = self.one_target(resources, document)? else {
                continue;
            };
            let selected: Vec<bool> = (0..resources.len()).map(|i| i == index).collect();
            self.merge_into(resources, &selected, document, patch)?;
        }
        Ok(())
    }

    /// An item of `patchesJson6902`.
    pub(crate) fn json_6902(
        &self,
        resources: &mut [Resource],
        patch: &Patch,
        folder: &str,
    ) -> Result<(), Vec<Failure>> {
        let Some(target) = patch.target.as_ref().filter(|t| t.names_one) else {
            return Err(vec![
                self.failure(patch.mark, "must specify the target name"),
            ]);
        };
        let ParsedPatch::Json(steps) = self.parsed(patch, folder)? else {
            return Err(vec![
                self.failure(patch.mark, "a JSON patch is a list of steps"),
            ]);
        };
        if steps.is_empty() {
            return Err(vec![
                self.failure(patch.mark, "the patch appears to be empty"),
            ]);
        }
        for resource in resources {
            if target.selects(resource, self.scalars()) {
                self.do_steps(resource, steps)?;
            }
        }
        Ok(())
    }

    fn do_steps(&self, resource: &mut Resource, steps: &[Node]) -> Result<(), Vec<Failure>> {
        // kustomize keeps its notes in annotations, so that a step finds some.
        if resource.has_notes() || self.tracks {
            let mark = resource.node.mark;
            if let Some(metadata) = object_in(&mut resource.node, "metadata", mark)
                && metadata.get("annotations").is_none()
            {
                metadata.insert(entry("annotations", mark, Value::Object(Map::new())));
            }
        }
        rewrite_for_json(
            &mut resource.node,
            &mut resource.history,
            self.tree.sources(),
        );
        json_patch::apply(&mut resource.node, steps, &mut resource.history)
            .map_err(|e| vec![self.failure(e.mark, e.message)])?;
        resource.weight = weight(&resource.node);
        resource.unshare();
        only_texts_by(&mut resource.node, "annotations", |node| {
            text_after_json(&node.value).into()
        });
        Ok(())
    }

    /// The one object that a patch without a target names. `None` where it may be one that lies
    /// outside of the repository.
    fn one_target(
        &self,
        resources: &[Resource],
        patch: &Node,
    ) -> Result<Option<usize>, Vec<Failure>> {
        let id = Id::of(patch);
        let wanted = id.clone().key();
        let mut found = (0..resources.len()).filter(|i| resources[*i].is_or_was(&wanted));
        match (found.next(), found.next()) {
            (Some(index), None) => Ok(Some(index)),
            (None, _) if self.incomplete => Ok(None),
            (first, _) => {
                let why = if first.is_none() { "no" } else { "multiple" };
                let failure = self.failure(
                    patch.mark,
                    format!("no unique target for this patch: {why} matches for Id {id}"),
                );
                let near = resources.iter().map(Resource::id).find(|other| {
                    other.of.kind == id.of.kind && (other.name == id.name || resources.len() == 1)
                });
                Err(vec![match near {
                    Some(near) if first.is_none() => failure.with_help(format!(
                        "there is {near}: group, version, namespace and name must be equal"
                    )),
                    _ => failure,
                }])
            }
        }
    }

    /// Merges one patch into all that are selected.
    fn merge_into(
        &self,
        resources: &mut Vec<Resource>,
        selected: &[bool],
        document: &Node,
        patch: &Patch,
    ) -> Result<(), Vec<Failure>> {
        for (resource, _) in resources
            .iter_mut()
            .zip(selected)
            .filter(|(_, selected)| **selected)
        {
            let mut document = document.clone();
            self.as_copied(&mut document);
            let of = resource.id().of;
            take_type(&mut document, &of);
            self.merge_one(resource, document, patch)?;
        }
        self.bound(resources, patch.mark)?;
        drop_empty(resources);
        let mut seen = HashSet::new();
        for resource in resources.iter() {
            let id = resource.id();
            if !seen.insert(id.clone().key()) {
                return Err(vec![self.failure(
                    document.mark,
                    format!("may not add resource with an already registered id: {id}"),
                )]);
            }
        }
        Ok(())
    }

    /// What kustomize does to a patch that it copies: labels and annotations become texts, also
    /// nulls, and empty ones vanish.
    fn as_copied(&self, document: &mut Node) {
        let namespace = Id::of(document).namespace;
        for field in ["labels", "annotations"] {
            self.only_texts(document, field);
        }
        if namespace.is_empty()
            && let Value::Object(map) = &mut document.value
            && let Some(Value::Object(metadata)) = map.get_mut("metadata").map(|n| &mut n.value)
        {
            metadata.remove("namespace");
        }
    }

    /// Makes texts of the values of labels or annotations; an empty map vanishes.
    pub(crate) fn only_texts(&self, node: &mut Node, field: &str) {
        only_texts_by(node, field, |node| {
            self.scalars().text(node).as_ref().into()
        });
    }

    fn merge_one(
        &self,
        resource: &mut Resource,
        document: Node,
        patch: &Patch,
    ) -> Result<(), Vec<Failure>> {
        let id = resource.id();
        let mut document = document;
        if patch.allow_name_change || patch.allow_kind_change {
            resource.remember();
            // The patch has a note of its own, so that its annotations are written anew.
            self.only_texts(&mut document, "annotations");
        }
        resource.weight += weight(&document);
        let node = std::mem::take(&mut resource.node);
        let mut written = Vec::new();
        let history = &mut resource.history;
        let merged = merge(node, &document, self.scalars(), history, &mut written)
            .map_err(|e| vec![self.failure(e.mark, e.message)])?;
        resource.node = match merged {
            Merged::Deleted => return Ok(()),
            Merged::Unchanged(node) => {
                resource.node = node;
                return Ok(());
            }
            Merged::Changed(node) => node,
        };
        resource.spread(&written);
        if takes_notes(&document) {
            resource.forget();
        }
        if !patch.allow_kind_change {
            set_kind(&mut resource.node, &id.of.kind);
        }
        if !patch.allow_name_change && resource.id().name != id.name {
            set_metadata(&mut resource.node, "name", &id.name);
        }
        if resource.id().namespace != id.namespace {
            if id.namespace.is_empty() {
                if let Value::Object(map) = &mut resource.node.value
                    && let Some(Value::Object(metadata)) =
                        map.get_mut("metadata").map(|n| &mut n.value)
                {
                    metadata.remove("namespace");
                }
            } else {
                set_metadata(&mut resource.node, "namespace", &id.namespace);
            }
        }
        Ok(())
    }
}

/// Whether a patch takes out the annotations of an object as a whole, and with them what kustomize
/// remembers there.
fn takes_notes(patch: &Node) -> bool {
    let replaces = |node: &Node| {
        let directive = node.as_map().and_then(|map| map.get("$patch"));
        matches!(directive.and_then(Node::as_str), Some("delete" | "replace"))
    };
    let is_gone = |node: &Node| matches!(node.value, Value::Null) || replaces(node);
    let metadata = patch.as_map().and_then(|map| map.get("metadata"));
    metadata.is_some_and(|metadata| {
        let annotations = metadata.as_map().and_then(|map| map.get("annotations"));
        is_gone(metadata) || annotations.is_some_and(is_gone)
    })
}

/// Takes out what patches deleted.
pub(crate) fn drop_empty(resources: &mut Vec<Resource>) {
    resources.retain(|r| match &r.node.value {
        Value::Null => false,
        Value::Object(map) => !map.is_empty(),
        _ => true,
    });
}

/// Lists in a file of patches are taken apart, as in one of manifests.
fn lists_apart(document: Node) -> Vec<Node> {
    super::build::expand(document)
}

fn set_kind(node: &mut Node, kind: &str) {
    if let Value::Object(map) = &mut node.value
        && let Some(there) = map.get_mut("kind")
        && there.as_str() != Some(kind)
    {
        there.value = Value::String(kind.into());
    }
}

/// Gives a patch the type of what it patches; the kind stays the patch's.
fn take_type(document: &mut Node, of: &Type) {
    let mark = document.mark;
    if let Value::Object(map) = &mut document.value {
        let version = Value::String(of.api_version().into());
        match map.get_mut("apiVersion") {
            Some(node) => node.value = version,
            None => map.insert(entry("apiVersion", mark, version)),
        }
    }
}

/// Does so with texts that are given.
fn only_texts_by(node: &mut Node, field: &str, text: impl Fn(&Node) -> Str) {
    let Value::Object(map) = &mut node.value else {
        return;
    };
    let Some(Value::Object(metadata)) = map.get_mut("metadata").map(|n| &mut n.value) else {
        return;
    };
    let Some(held) = metadata.get_mut(field) else {
        return;
    };
    match &mut held.value {
        Value::Object(map) if !map.is_empty() => {
            for entry in map.iter_mut() {
                if entry.node.as_str().is_none() {
                    entry.node.value = Value::String(text(&entry.node));
                }
            }
        }
        _ => {
            metadata.remove(field);
        }
    }
}
