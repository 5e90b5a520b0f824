//! From a kustomization to its objects: bases, generators, components, transformers, in kustomize's
//! order.
//!
//! Source: `api/internal/target/kusttarget.go` of kustomize 5.5.0.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use stagegate_core::{Mark, Node, Value};
use stagegate_manifest::{Format, Profile, load};

use super::fields::{BUILT_IN, Configuration};
use super::id::Id;
use super::limits::weight_of_all;
use super::load::{Child, Folder};
use super::patches::drop_empty;
use super::resource::Resource;
use super::scalars::write_dates;
use super::spec::{Spec, Text};
use super::vars::Vars;
use super::{Context, fields};
use crate::Failure;

/// What a kustomization holds, with all that it builds on.
#[derive(Clone, Default)]
pub(crate) struct Accumulated {
    pub(crate) resources: Vec<Resource>,
    /// None as long as nothing was read.
    configuration: Option<Arc<Configuration>>,
    pub(crate) vars: Vars,
    /// How much memory all bases took, each on its level.
    bases: usize,
}

impl Accumulated {
    pub(crate) fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(self.configuration.as_ref().unwrap_or(&BUILT_IN))
    }

    /// Adds field specifications. What is there already decides what counts as new.
    fn configure(&mut self, other: &Arc<Configuration>) -> Result<(), fields::Conflict> {
        match &mut self.configuration {
            // Adding the built-in ones to nothing or to themselves changes nothing.
            None if Arc::ptr_eq(other, &BUILT_IN) => self.configuration = Some(Arc::clone(other)),
            Some(own) if Arc::ptr_eq(own, other) => {}
            own => {
                let mut merged = own.as_deref().cloned().unwrap_or_default();
                merged.merge(other)?;
                *own = Some(Arc::new(merged));
            }
        }
        Ok(())
    }
}

impl Context<'_> {
    /// Builds a kustomization, without what is done last to the outermost one.
    pub(crate) fn build(&self, folder: &Folder) -> Result<Accumulated, Vec<Failure>> {
        let mut accumulated = Accumulated::default();
        self.accumulate(folder, &mut accumulated)?;
        Ok(accumulated)
    }

    fn accumulate(&self, folder: &Folder, all: &mut Accumulated) -> Result<(), Vec<Failure>> {
        let spec = folder.spec()?;
        let mut ids: HashMap<Id, Mark> = HashMap::new();
        for resource in &all.resources {
            ids.insert(resource.id().key(), resource.node.mark);
        }
        for (text, child) in &folder.resources {
            match child {
                Child::Remote => {}
                Child::File => {
                    let found = self.objects(folder, text)?;
                    self.append(
                        all,
                        found.into_iter().map(Resource::read).collect(),
                        &mut ids,
                        text,
                        spec,
                    )?;
                    self.bound(&all.resources, text.mark)?;
                }
                Child::Folder(path) => {
                    let base = self.base(path)?;
                    let size = weight_of_all(&base.resources);
                    all.bases = all.bases.saturating_add(base.bases + size);
                    self.bound_bases(all.bases, text.mark)?;
                    self.bound_sum(weight_of_all(&all.resources) + size, text.mark)?;
                    self.append(all, base.resources.clone(), &mut ids, text, spec)?;
                    let conflict = |c: fields::Conflict| vec![self.conflict(text.mark, &c)];
                    all.configure(base.configuration.as_ref().unwrap_or(&BUILT_IN))
                        .map_err(conflict)?;
                    for var in base.vars.values() {
                        self.add_var(&mut all.vars, var)?;
                    }
                }
            }
        }
        self.configure(folder, spec, all)?;
        for mut new in self.generate(spec, &folder.path)? {
            new.history.files.push(spec.file);
            self.absorb(&mut all.resources, new)?;
        }
        for (_, path) in &folder.components {
            let component = self.folder(path);
            self.accumulate(&component, all)?;
            for resource in &mut all.resources {
                if resource.history.files.last() != Some(&spec.file) {
                    resource.history.files.push(spec.file);
                }
            }
        }
        self.transform(folder, spec, all)?;
        self.declare_vars(&mut all.resources, &mut all.vars, &spec.vars)
    }

    pub(crate) fn conflict(&self, mark: Mark, conflict: &fields::Conflict) -> Failure {
        self.failure(
            mark,
            format!(
                "conflicting fieldspecs: create of {} is set and not set",
                conflict.0
            ),
        )
    }

    /// Adds objects, none of which may be there.
    fn append(
        &self,
        all: &mut Accumulated,
        new: Vec<Resource>,
        ids: &mut HashMap<Id, Mark>,
        by: &Text,
        spec: &Spec,
    ) -> Result<(), Vec<Failure>> {
        for mut resource in new {
            let id = resource.id();
            let mark = resource.node.mark;
            if let Some(other) = ids.insert(id.clone().key(), mark) {
                // Two in one file are its mistake; else that of what names both.
                let at = if other.file == mark.file && other != mark {
                    mark
                } else {
                    by.mark
                };
                let message = format!("may not add resource with an already registered id: {id}");
                let failure = self.failure(at, message);
                let place = self.tree.sources().locate(other);
                return Err(vec![match place {
                    Some(place) => failure
                        .with_help(format!("the other one is in {}:{}", place.path, place.line)),
                    None => failure,
                }]);
            }
            resource.history.files.push(spec.file);
            all.resources.push(resource);
        }
        Ok(())
    }

    /// The field specifications that hold here.
    fn configure(
        &self,
        folder: &Folder,
        spec: &Spec,
        all: &mut Accumulated,
    ) -> Result<(), Vec<Failure>> {
        let mark = spec
            .configurations
            .first()
            .map_or(spec.mark, |text| text.mark);
        let conflict = |c: fields::Conflict| vec![self.conflict(mark, &c)];
        if spec.configurations.is_empty() {
            all.configure(&BUILT_IN).map_err(conflict)?;
        } else {
            let mut own = Configuration::default();
            for path in &spec.configurations {
                let (file, source) = self.read(&folder.path, path)?;
                own.merge(&Configuration::read(file, &source)?)
                    .map_err(conflict)?;
            }
            let mut merged = (**BUILT_IN).clone();
            merged.merge(&own).map_err(conflict)?;
            all.configure(&Arc::new(merged)).map_err(conflict)?;
        }
        if !spec.crds.is_empty() {
            let crds = Arc::new(self.crds(&spec.crds, &folder.path)?);
            all.configure(&crds).map_err(conflict)?;
        }
        Ok(())
    }

    fn transform(
        &self,
        folder: &Folder,
        spec: &Spec,
        all: &mut Accumulated,
    ) -> Result<(), Vec<Failure>> {
        let configuration = all.configuration();
        let resources = &mut all.resources;
        let did = |resources: &mut Vec<Resource>, what: &'static str| {
            drop_empty(resources);
            if self.tracks {
                for resource in resources {
                    resource.history.transformations.push((spec.file, what));
                }
            }
        };
        for patch in &spec.merges {
            self.strategic_merge(resources, patch, &folder.path)?;
        }
        if !spec.merges.is_empty() {
            did(resources, "PatchStrategicMergeTransformer");
        }
        for patch in &spec.patches {
            self.patch(resources, patch, &folder.path)?;
            did(resources, "PatchTransformer");
        }
        if let Some(namespace) = &spec.namespace {
            self.namespace(resources, namespace, &configuration)?;
            did(resources, "NamespaceTransformer");
        }
        if let Some(prefix) = &spec.name_prefix {
            self.affix(resources, prefix, &configuration.name_prefix, true)?;
            did(resources, "PrefixTransformer");
        }
        if let Some(suffix) = &spec.name_suffix {
            self.affix(resources, suffix, &configuration.name_suffix, false)?;
            did(resources, "SuffixTransformer");
        }
        if !spec.labels.is_empty() || !spec.common_labels.is_empty() {
            self.labels(resources, spec, &configuration)?;
            // One for each entry, and one for commonLabels in any case.
            for _ in 0..=spec.labels.len() {
                did(resources, "LabelTransformer");
            }
        }
        if !spec.common_annotations.is_empty() {
            self.pairs(
                resources,
                &spec.common_annotations,
                &configuration.common_annotations,
            )?;
            did(resources, "AnnotationsTransformer");
        }
        for patch in &spec.json_patches {
            self.json_6902(resources, patch, &folder.path)?;
            did(resources, "PatchJson6902Transformer");
        }
        for replica in &spec.replicas {
            self.replica(resources, replica, &configuration.replicas)?;
            did(resources, "ReplicaCountTransformer");
        }
        for image in &spec.images {
            self.image(resources, image, &configuration.images)?;
            did(resources, "ImageTagTransformer");
        }
        if !spec.replacements.is_empty() {
            self.replacements(resources, spec, &folder.path)?;
            did(resources, "ReplacementTransformer");
        }
        Ok(())
    }

    /// The objects of a file of manifests.
    fn objects(&self, folder: &Folder, path: &Text) -> Result<Vec<Node>, Vec<Failure>> {
        let (file, source) = self.read(&folder.path, path)?;
        let loaded = load(file, &source, Format::Yaml, Profile::Kustomize);
        if !loaded.problems.is_empty() {
            let problems = loaded.problems.into_iter();
            return Err(problems.map(|p| self.failure(p.mark, p.message)).collect());
        }
        let mut failures = Vec::new();
        let mut queue: VecDeque<Node> = VecDeque::new();
        let is_single = loaded.documents.len() == 1;
        for document in loaded.documents {
            let kind = document.get("kind").and_then(Node::as_str);
            let unwraps = is_single && matches!(kind, Some("List" | "ResourceList"));
            match (unwraps, document.get("items")) {
                (true, Some(items)) => queue.extend(items.items().iter().cloned()),
                _ => queue.push_back(document),
            }
        }
        let mut objects = Vec::new();
        while let Some(node) = queue.pop_front() {
            if is_empty(&node) {
                continue;
            }
            if let Some(lacks) = lacks(&node) {
                let message =
                    format!("an object must have {lacks}, and this has none: kustomize refuses it");
                failures.push(self.failure(node.mark, message));
                continue;
            }
            let Some(items) = list_items(&node) else {
                let mut node = node;
                write_dates(&mut node, self.scalars());
                objects.push(node);
                continue;
            };
            match &items.value {
                Value::Null => {}
                Value::Array(items) => queue.extend(items.iter().cloned()),
                _ => failures.push(self.failure(items.mark, "the items of a List are a list")),
            }
        }
        if failures.is_empty() {
            Ok(objects)
        } else {
            Err(failures)
        }
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// What an object lacks that kustomize asks of it.
pub(crate) fn lacks(node: &Node) -> Option<&'static str> {
    let id = Id::of(node);
    if id.of.kind.is_empty() {
        return Some("a kind");
    }
    (id.name.is_empty() && !id.of.kind.ends_with("List")).then_some("a metadata.name")
}

/// The items of what is a list of objects.
fn list_items(node: &Node) -> Option<&Node> {
    let kind = node.get("kind").and_then(Node::as_str)?;
    node.as_map()
        .filter(|_| kind.ends_with("List"))?
        .get("items")
}

/// Takes a list of objects apart, one level after the other.
pub(crate) fn expand(document: Node) -> Vec<Node> {
    let mut queue = VecDeque::from([document]);
    let mut result = Vec::new();
    while let Some(node) = queue.pop_front() {
        match list_items(&node) {
            Some(items) => queue.extend(items.items().iter().cloned()),
            None if is_empty(&node) => {}
            None => result.push(node),
        }
    }
    result
}
