//! Which field of which file a rendered value came from.
//!
//! A renderer outside of this process gives back text that stands in no file of the repository.
//! Its origin annotations name the file of each object; from there the rendered tree is laid over
//! the object in that file and the patches on its way, and every node takes the mark of the last
//! of them that holds an equal value in the same place. What none of them holds (a value that a
//! transformer made) takes the mark of the field that was there before, else of its parent.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use stagegate_core::{
    Entry, FileId, Mark, Node, Object, ObjectRef, Origin, Pointer, Str, Value, group_of,
    list_item_key,
};
use stagegate_manifest::{Format, Profile, dotenv, load};

use crate::closure::Closure;
use crate::inline::inline;
use crate::kustomization::{Generator, Kustomization, Patch, value_of_literal};
use crate::{Tree, join, parent, plain};

const ORIGIN: &str = "config.kubernetes.io/origin";
const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// Gives the objects of one rendered root their marks and origins, and takes the annotations off
/// that carried them.
pub(crate) struct Provenance<'a> {
    tree: &'a Tree,
    closure: &'a Closure,
    /// The files that were read, by path.
    files: HashMap<String, Arc<BaseFile<'a>>>,
    /// What the patches of a kustomization hold, in its order, by its path: read once, however
    /// many objects they may be for.
    patches: HashMap<&'a str, Vec<Vec<Node>>>,
}

/// A file with objects, and the ways that lead to it.
struct BaseFile<'a> {
    objects: Vec<Object>,
    chains: Vec<Vec<&'a Kustomization>>,
}

impl<'a> Provenance<'a> {
    pub(crate) fn new(tree: &'a Tree, closure: &'a Closure) -> Self {
        let patches = closure
            .by_folder
            .values()
            .map(|k| {
                let read = k
                    .patches
                    .iter()
                    .map(|patch| patch_documents(tree, k, patch));
                (k.path.as_str(), read.collect())
            })
            .collect();
        Provenance {
            tree,
            closure,
            files: HashMap::new(),
            patches,
        }
    }

    /// Attributes a rendered object. `built_in` is the absolute folder that paths in annotations
    /// are seen from.
    pub(crate) fn attribute(&mut self, mut node: Node, built_in: &str) -> Option<Object> {
        let annotation = take_annotation(&mut node, ORIGIN);
        take_annotation(&mut node, TRANSFORMATIONS);
        let field = |key: &str| {
            let text = annotation.as_deref()?;
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            // From the root of the file system, so that `..` leads back into the tree.
            let absolute = join(
                "/",
                &format!("{built_in}/{}", line.trim().trim_matches(['"', '\''])),
            );
            Some(self.tree.relative(Path::new(&absolute)))
        };
        let root = self.closure.by_folder.get(&self.closure.root)?;
        let origin = Origin {
            renderer: "kustomize",
            chain: vec![root.file],
            root: self.closure.root.clone(),
        };
        let mut object = Object::new(node, Arc::new(origin))?;
        if let Some(path) = field("path: ") {
            self.attribute_to_file(&mut object, &path);
        } else {
            let configured_in = field("configuredIn: ");
            self.attribute_to_generator(&mut object, configured_in.as_deref(), root);
        }
        Some(object)
    }

    /// The object stands in a file: of all the objects there that it may have been, and all the
    /// ways that lead to them, the one that explains most of its values.
    fn attribute_to_file(&mut self, object: &mut Object, path: &str) {
        let Ok((file, _)) = self.tree.read(path) else {
            return;
        };
        let base = self.base_file(path);
        let mut guesses: Vec<Guess<'_>> = base
            .chains
            .iter()
            .flat_map(|chain| {
                base.objects
                    .iter()
                    .map(move |source| Guess { chain, source })
            })
            .filter(|guess| guess.is_of_kind(&object.reference))
            .collect();
        let certainty = |guess: &Guess<'_>| guess.certainty(&object.reference.name);
        let best = guesses.iter().map(certainty).max().unwrap_or_default();
        guesses.retain(|guess| certainty(guess) == best);
        guesses.truncate(MOST_GUESSES);

        let mut explained: Option<(usize, Node, Removed, Guess<'_>)> = None;
        for guess in guesses {
            let way = self.way(&guess, object);
            let mut node = object.node.clone();
            let mut removed = Vec::new();
            let mut layers = vec![&way.base];
            layers.extend(&way.layers);
            let place = Place {
                pointer: &Pointer::root(),
                member: "",
            };
            let equal = transfer(&mut node, &layers, way.base.mark, place, &mut removed);
            removed.extend(
                way.removed
                    .into_iter()
                    .filter(|(pointer, _)| node.at(pointer).is_none()),
            );
            if explained.as_ref().is_none_or(|(most, ..)| equal > *most) {
                explained = Some((equal, node, removed, guess));
            }
        }
        let Some((_, node, mut removed, guess)) = explained else {
            object
                .node
                .for_each_mark_mut(&mut |mark| *mark = Mark::new(file, 0, 0));
            return;
        };
        removed.sort();
        removed.dedup();
        let mut files: Vec<FileId> = guess.chain.iter().map(|k| k.file).collect();
        files.push(file);
        object.node = node;
        object.removed = removed;
        object.source = (guess.source.reference != object.reference)
            .then(|| Box::new(guess.source.reference.clone()));
        object.origin = Arc::new(Origin {
            renderer: "kustomize",
            chain: files,
            root: self.closure.root.clone(),
        });
    }

    /// What a guess says about how the object came to be: the object in its file with JSON 6902
    /// patches applied, and the strategic merge patches over it.
    fn way(&self, guess: &Guess<'_>, rendered: &Object) -> Way {
        let mut way = Way {
            base: guess.source.node.clone(),
            layers: Vec::new(),
            removed: Vec::new(),
        };
        // Innermost first: a base's own patches are applied before those of its overlay.
        for kustomization in guess.chain.iter().rev() {
            let mut appliers = Vec::new();
            self.closure.components(kustomization, &mut appliers);
            appliers.push(kustomization);
            for applier in appliers {
                let read = self.patches.get(applier.path.as_str());
                for (patch, documents) in applier.patches.iter().zip(read.into_iter().flatten()) {
                    apply(patch, documents, guess.source, rendered, &mut way);
                }
            }
        }
        way
    }

    /// The object was made by a generator.
    fn attribute_to_generator(
        &self,
        object: &mut Object,
        configured_in: Option<&str>,
        root: &Kustomization,
    ) {
        let kustomization = configured_in
            .and_then(|path| self.closure.by_folder.values().find(|k| k.path == path))
            .unwrap_or(root);
        let name = object.reference.name.as_str();
        let generator = kustomization
            .generators
            .iter()
            .filter(|generator| name.contains(generator.name.as_str()))
            .max_by_key(|generator| generator.name.len());
        let beginning = Mark {
            end: kustomization.mark.start,
            ..kustomization.mark
        };
        let mark = generator.map_or(beginning, |generator| generator.node.mark);
        object.node.for_each_mark_mut(&mut |m| *m = mark);
        if let Some(generator) = generator {
            self.attribute_data(object, generator, parent(&kustomization.path));
            // Without the hash of its content, which changes with every edit.
            object.source = Some(Box::new(ObjectRef {
                name: generator.name.clone(),
                ..object.reference.clone()
            }));
        }
        if kustomization.file != root.file {
            object.origin = Arc::new(Origin {
                renderer: "kustomize",
                chain: vec![root.file, kustomization.file],
                root: self.closure.root.clone(),
            });
        }
    }

    /// Every value of generated data stands in a literal, in a line of a file of variables, or is a
    /// file.
    fn attribute_data(&self, object: &mut Object, generator: &Generator, folder: &str) {
        let mut places: HashMap<String, Mark> = HashMap::new();
        let items = |key: &str| generator.node.get(key).map_or(&[][..], Node::items);
        for file in items("envs").iter().chain(generator.node.get("env")) {
            let path = file.as_str().map(|path| join(folder, path));
            if let Some(Ok((id, source))) = path.map(|path| self.tree.read(&path)) {
                for variable in dotenv(id, &source).entries() {
                    places.insert(variable.key.to_string(), variable.node.mark);
                }
            }
        }
        for literal in items("literals") {
            if let Some((key, _)) = literal.as_str().and_then(|text| text.split_once('=')) {
                let source = self.tree.sources().get(literal.mark.file);
                let mark = source.map_or(literal.mark, |s| value_of_literal(&s, literal.mark));
                places.insert(key.to_owned(), mark);
            }
        }
        for file in items("files") {
            let Some(text) = file.as_str() else { continue };
            let name = text.rsplit('/').next().unwrap_or(text);
            let key = text.split_once('=').map_or(name, |(key, _)| key);
            places.insert(key.to_owned(), file.mark);
        }
        if let Value::Object(members) = &mut object.node.value
            && let Some(Value::Object(data)) = members.get_mut("data").map(|d| &mut d.value)
        {
            for entry in data.iter_mut() {
                if let Some(mark) = places.get(entry.key.as_str()) {
                    entry.key_mark = *mark;
                    entry.node.mark = *mark;
                }
            }
        }
    }

    fn base_file(&mut self, path: &str) -> Arc<BaseFile<'a>> {
        if let Some(base) = self.files.get(path) {
            return Arc::clone(base);
        }
        let objects = match self.tree.read(path) {
            Ok((file, source)) => plain::read(file, &source, Profile::Kustomize, "").objects,
            Err(_) => Vec::new(),
        };
        let chains = self.closure.chains_to(path);
        let base = Arc::new(BaseFile { objects, chains });
        self.files.insert(path.to_owned(), Arc::clone(&base));
        base
    }
}

/// The documents of a patch, wherever it stands.
fn patch_documents(tree: &Tree, applier: &Kustomization, patch: &Patch) -> Vec<Node> {
    match (&patch.path, &patch.inline) {
        (Some(path), _) => match tree.read(&join(parent(&applier.path), path)) {
            Ok((file, text)) => load(file, &text, Format::Yaml, Profile::Kustomize).documents,
            Err(_) => Vec::new(),
        },
        (None, Some(text)) => inline(text, tree.sources(), Profile::Kustomize, true).documents,
        (None, None) => Vec::new(),
    }
}

/// Adds what a patch does, if it is for this object.
fn apply(patch: &Patch, documents: &[Node], source: &Object, rendered: &Object, way: &mut Way) {
    for document in documents {
        let meant = match (&patch.target, ObjectRef::of(document)) {
            (Some(target), _) => is_target(target, source, rendered),
            (None, Some(own)) => {
                own.kind == source.reference.kind
                    && [&source.reference.name, &rendered.reference.name].contains(&&own.name)
            }
            (None, None) => false,
        };
        if !meant {
            continue;
        }
        match &document.value {
            Value::Array(steps) => steps.iter().for_each(|step| way.step(step)),
            _ => way.layers.push(document.clone()),
        }
    }
}

/// What was taken out, with the place of what did.
type Removed = Vec<(Pointer, Mark)>;

/// How many guesses are tried for one object.
const MOST_GUESSES: usize = 64;

/// An object in a file that a rendered one may have been, and a way to it.
#[derive(Clone, Copy)]
struct Guess<'a> {
    chain: &'a [&'a Kustomization],
    source: &'a Object,
}

impl Guess<'_> {
    fn is_of_kind(&self, rendered: &ObjectRef) -> bool {
        self.source.reference.kind == rendered.kind
            && group_of(&self.source.reference.api_version) == rendered.group()
    }

    /// How well the names fit: with the prefixes and suffixes of the way, as a part, or not.
    fn certainty(&self, rendered: &str) -> u8 {
        let name = self.source.reference.name.as_str();
        let prefixes: String = self.chain.iter().map(|k| k.name_prefix.as_str()).collect();
        let suffixes: String = self
            .chain
            .iter()
            .rev()
            .map(|k| k.name_suffix.as_str())
            .collect();
        if format!("{prefixes}{name}{suffixes}") == rendered {
            2
        } else {
            u8::from(rendered.contains(name))
        }
    }
}

/// How an object came to be.
struct Way {
    base: Node,
    layers: Vec<Node>,
    removed: Removed,
}

impl Way {
    /// One step of a JSON 6902 patch, done to the base: what it sets brings its own marks. Steps
    /// that cannot be done are kustomize's to refuse.
    fn step(&mut self, step: &Node) {
        let text = |key: &str| step.get(key).and_then(Node::as_str);
        let Some(pointer) = text("path").and_then(Pointer::parse) else {
            return;
        };
        let mark = step.get("path").map_or(step.mark, |n| n.mark);
        let segments: Vec<String> = pointer.segments().map(Cow::into_owned).collect();
        let Some((last, parents)) = segments.split_last() else {
            return;
        };
        let mut node = &mut self.base;
        for segment in parents {
            let next = match &mut node.value {
                Value::Object(map) => map.get_mut(segment),
                Value::Array(items) => segment.parse().ok().and_then(|i: usize| items.get_mut(i)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return,
            }
        }
        let operation = text("op").unwrap_or_default();
        let as_map = step.as_map();
        let value = as_map.and_then(|m| m.get("value")).cloned();
        match (operation, &mut node.value, value) {
            ("add" | "replace", Value::Object(map), Some(value)) => {
                map.insert(Entry {
                    key: Str::new(last),
                    key_mark: mark,
                    node: value,
                });
            }
            ("add", Value::Array(items), Some(value)) => {
                let end = items.len();
                let index = if last == "-" {
                    Some(end)
                } else {
                    last.parse().ok()
                };
                if let Some(index) = index.filter(|i| *i <= end) {
                    items.insert(index, value);
                }
            }
            ("replace", Value::Array(items), Some(value)) => {
                if let Some(item) = last.parse().ok().and_then(|i: usize| items.get_mut(i)) {
                    *item = value;
                }
            }
            ("remove", Value::Object(map), _) => {
                self.removed
                    .extend(map.remove(last).map(|_| (pointer, mark)));
            }
            ("remove", Value::Array(items), _) => {
                if let Some(index) = last.parse().ok().filter(|i: &usize| *i < items.len()) {
                    items.remove(index);
                }
            }
            _ => {}
        }
    }
}

/// Whether a patch's target is an object, which may be named as it was or as it became.
///
/// Names, kinds and namespaces are patterns that must match as a whole; set-based selectors are
/// taken to match.
fn is_target(target: &Node, source: &Object, rendered: &Object) -> bool {
    let text = |key: &str| target.get(key).and_then(Node::as_str);
    let fits = |key: &str, actual: &[&str]| {
        text(key).is_none_or(|wanted| {
            let pattern = regex::Regex::new(&format!("^(?:{wanted})$"));
            actual
                .iter()
                .any(|a| pattern.as_ref().map_or(*a == wanted, |p| p.is_match(a)))
        })
    };
    let (was, is) = (&source.reference, &rendered.reference);
    let namespace = |r: &ObjectRef| r.namespace.clone().unwrap_or_default();
    fits("kind", &[&is.kind])
        && fits("group", &[is.group()])
        && fits("name", &[&was.name, &is.name])
        && fits("namespace", &[&namespace(was), &namespace(is)])
        && [
            ("labelSelector", "labels"),
            ("annotationSelector", "annotations"),
        ]
        .iter()
        .all(|(selector, field)| {
            text(selector).is_none_or(|selector| {
                let of = |o: &Object| o.node.path(&["metadata", field]).cloned();
                selects(selector, of(source).as_ref()) || selects(selector, of(rendered).as_ref())
            })
        })
}

/// Whether an equality-based selector (`a=b,c!=d,e,!f`) selects something with these labels.
fn selects(selector: &str, labels: Option<&Node>) -> bool {
    let value = |key: &str| {
        labels
            .and_then(|l| l.get(key.trim()))
            .and_then(Node::as_str)
    };
    if selector.contains(['(', ')']) {
        return true;
    }
    selector.split(',').map(str::trim).all(|term| {
        if let Some((key, wanted)) = term.split_once("!=") {
            value(key) != Some(wanted.trim())
        } else if let Some((key, wanted)) = term.split_once('=') {
            value(key) == Some(wanted.trim_start_matches('=').trim())
        } else if let Some(key) = term.strip_prefix('!') {
            value(key).is_none()
        } else {
            value(term).is_some()
        }
    })
}

/// Where in an object a node is.
#[derive(Clone, Copy)]
struct Place<'a> {
    pointer: &'a Pointer,
    /// The member that holds it, which says what tells items of a list apart.
    member: &'a str,
}

/// Lays marks over a rendered node. `layers` hold what the object's file and the patches on its
/// way have in the same place, innermost first. Gives the number of values that one of them
/// explains.
fn transfer(
    rendered: &mut Node,
    layers: &[&Node],
    fallback: Mark,
    place: Place<'_>,
    removed: &mut Removed,
) -> usize {
    // `$patch: replace` lets nothing through of what was there.
    let replaces = |l: &&Node| l.get("$patch").and_then(Node::as_str) == Some("replace");
    let replaced_at = layers.iter().rposition(replaces).unwrap_or(0);
    let (replaced, layers) = layers.split_at(replaced_at);

    let present = || layers.iter().filter(|l| !matches!(l.value, Value::Null));
    let equal = present().rev().find(|l| ***l == *rendered);
    rendered.mark = match rendered.value {
        // What is added belongs where the rest of the collection stands: in the innermost file.
        Value::Object(_) | Value::Array(_) => present().next(),
        _ => equal.or_else(|| present().next_back()),
    }
    .map_or(fallback, |l| l.mark);
    let mark = rendered.mark;
    match &mut rendered.value {
        Value::Object(map) => {
            let mut explained = 0;
            for entry in map.iter_mut() {
                let below: Vec<(&Node, Mark)> = layers
                    .iter()
                    .filter_map(|l| l.as_map()?.entry(&entry.key).map(|e| (&e.node, e.key_mark)))
                    .collect();
                entry.key_mark = below.first().map_or(mark, |(_, key_mark)| *key_mark);
                let nodes: Vec<&Node> = below.iter().map(|(node, _)| *node).collect();
                let pointer = place.pointer.clone().join(&entry.key);
                let place = Place {
                    pointer: &pointer,
                    member: &entry.key,
                };
                explained += transfer(&mut entry.node, &nodes, mark, place, removed);
            }
            let gone = |key: &str| map.get(key).is_none();
            for entry in replaced
                .iter()
                .flat_map(|l| l.entries())
                .filter(|e| gone(&e.key))
            {
                let by = layers
                    .first()
                    .and_then(|l| l.get("$patch"))
                    .map_or(mark, |n| n.mark);
                removed.push((place.pointer.clone().join(&entry.key), by));
            }
            for entry in layers.iter().skip(1).flat_map(|l| l.entries()) {
                let deletes = matches!(entry.node.value, Value::Null)
                    || entry.node.get("$patch").and_then(Node::as_str) == Some("delete");
                if deletes && gone(&entry.key) {
                    removed.push((place.pointer.clone().join(&entry.key), entry.key_mark));
                }
            }
            explained
        }
        Value::Array(items) => {
            let mut explained = 0;
            for (i, item) in items.iter_mut().enumerate() {
                let nodes: Vec<&Node> = layers
                    .iter()
                    .filter_map(|l| same_item(l.items(), place.member, item, i))
                    .collect();
                let pointer = place.pointer.clone().join(i);
                let place = Place {
                    pointer: &pointer,
                    member: "",
                };
                explained += transfer(item, &nodes, mark, place, removed);
            }
            explained
        }
        _ => usize::from(equal.is_some()),
    }
}

/// The item of a list that another one came from.
fn same_item<'l>(
    items: &'l [Node],
    member: &str,
    rendered: &Node,
    index: usize,
) -> Option<&'l Node> {
    let key = list_item_key(member, rendered);
    items
        .iter()
        .find(|item| list_item_key(member, item) == key)
        .or_else(|| {
            // A changed scalar, such as an argument: by place.
            items.get(index).filter(|item| {
                !matches!(item.value, Value::Object(_))
                    && !matches!(rendered.value, Value::Object(_))
            })
        })
}

/// Takes an annotation out, and `annotations` and `metadata` with it when nothing is left.
fn take_annotation(node: &mut Node, name: &str) -> Option<String> {
    let Value::Object(object) = &mut node.value else {
        return None;
    };
    let Value::Object(metadata) = &mut object.get_mut("metadata")?.value else {
        return None;
    };
    let Value::Object(annotations) = &mut metadata.get_mut("annotations")?.value else {
        return None;
    };
    let taken = annotations.remove(name)?.node.as_str().map(str::to_owned);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    taken
}

#[cfg(test)]
mod tests {
    use std::fs;

    use stagegate_manifest::{Sources, decode};

    use super::*;

    /// Attributes objects as kustomize would render them from a tree of files; gives, for a
    /// pointer into each, `path:line:column` of its mark, and what was removed.
    struct Case {
        folder: tempfile::TempDir,
    }

    impl Case {
        fn new(files: &[(&str, &str)]) -> Case {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Case { folder }
        }

        fn attribute(&self, rendered: &str, pointer: &str) -> Vec<String> {
            let tree = Tree::new(self.folder.path()).unwrap();
            let closure = Closure::load(&tree, ".").unwrap();
            let sources = Sources::new();
            let file = sources.add(String::new(), decode(rendered.into()));
            let source = sources.get(file).unwrap();
            let built_in = tree.root().join("wrapper").to_string_lossy().into_owned();
            let mut provenance = Provenance::new(&tree, &closure);
            let place = |mark: Mark| {
                let at = tree.sources().locate(mark).unwrap();
                format!("{}:{}:{}", at.path, at.line, at.column)
            };
            load(file, &source, Format::Yaml, Profile::Apply)
                .documents
                .into_iter()
                .map(|node| {
                    let object = provenance.attribute(node, &built_in).unwrap();
                    assert!(object.node.path(&["metadata", "annotations"]).is_none());
                    let pointer = Pointer::parse(pointer).unwrap();
                    let mut text = place(object.node.nearest(&pointer).mark);
                    for (pointer, mark) in &object.removed {
                        text.push_str(&format!(" -{pointer} {}", place(*mark)));
                    }
                    text
                })
                .collect()
        }
    }

    /// A Deployment with one container, flat enough to count lines: `memory` is on line 6.
    fn deployment(name: &str, more: &str, memory: &str) -> String {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}{more}}}\nspec:\n  \
             list: [{{name: c, v: 1}}]\n  memory: {memory}\n"
        )
    }

    fn rendered(name: &str, more: &str, path: &str, memory: &str) -> String {
        let origin =
            format!(", annotations: {{config.kubernetes.io/origin: \"path: ../{path}\\n\"}}{more}");
        deployment(name, &origin, memory) + "---\n"
    }

    #[test]
    fn objects_of_one_name_are_told_apart_by_namespace_and_prefix() {
        let two = deployment("api", ", namespace: a", "1Mi")
            + "---\n"
            + &deployment("api", ", namespace: b", "1Mi");
        let case = Case::new(&[
            ("kustomization.yaml", "resources: [d.yaml]"),
            ("d.yaml", &two),
        ]);
        let out = rendered("api", ", namespace: a", "d.yaml", "1Mi")
            + &rendered("api", ", namespace: b", "d.yaml", "1Mi");
        assert_eq!(
            case.attribute(&out, "/spec/memory"),
            ["d.yaml:6:11", "d.yaml:13:11"]
        );

        let two = deployment("api", "", "1Mi") + "---\n" + &deployment("pre-api", "", "2Mi");
        let kustomization = "namePrefix: pre-\nresources: [d.yaml]";
        let case = Case::new(&[("kustomization.yaml", kustomization), ("d.yaml", &two)]);
        let out = rendered("pre-api", "", "d.yaml", "1Mi")
            + &rendered("pre-pre-api", "", "d.yaml", "2Mi");
        assert_eq!(
            case.attribute(&out, "/spec/memory"),
            ["d.yaml:6:11", "d.yaml:13:11"]
        );
    }

    #[test]
    fn a_base_that_is_used_twice_leads_to_the_patch_of_its_own_way() {
        let overlay = |memory: &str| {
            format!(
                "resources: [../base]\nnamePrefix: {memory}-\npatches:\n  - patch: |-\n      \
                 apiVersion: apps/v1\n      kind: Deployment\n      metadata: {{name: api}}\n      \
                 spec: {{memory: {memory}mi}}\n"
            )
        };
        let case = Case::new(&[
            ("kustomization.yaml", "resources: [a, b]"),
            ("a/kustomization.yaml", &overlay("a")),
            ("b/kustomization.yaml", &overlay("b")),
            ("base/kustomization.yaml", "resources: [d.yaml]"),
            ("base/d.yaml", &deployment("api", "", "1Mi")),
        ]);
        let out = rendered("a-api", "", "base/d.yaml", "ami")
            + &rendered("b-api", "", "base/d.yaml", "bmi");
        assert_eq!(
            case.attribute(&out, "/spec/memory"),
            ["a/kustomization.yaml:8:22", "b/kustomization.yaml:8:22"]
        );
    }

    #[test]
    fn json_patches_are_done_in_their_order() {
        let patch = "- {op: replace, path: /spec/list/0/v, value: 9}\n\
                     - {op: add, path: /spec/list/0, value: {name: first, v: 9}}\n\
                     - {op: remove, path: /spec/memory}\n";
        let kustomization = "resources: [d.yaml]\npatches: [{path: p.yaml, target: {kind: Dep.*}}]";
        let case = Case::new(&[
            ("kustomization.yaml", kustomization),
            ("d.yaml", &deployment("api", "", "1Mi")),
            ("p.yaml", patch),
        ]);
        let out = rendered("api", "", "d.yaml", "1Mi")
            .replace(
                "[{name: c, v: 1}]",
                "[{name: first, v: 9}, {name: c, v: 9}]",
            )
            .replace("  memory: 1Mi\n", "");
        let removed = "-/spec/memory p.yaml:3:22";
        assert_eq!(
            case.attribute(&out, "/spec/list/0/v"),
            [format!("p.yaml:2:57 {removed}")]
        );
        assert_eq!(
            case.attribute(&out, "/spec/list/1/v"),
            [format!("p.yaml:1:46 {removed}")]
        );
    }

    #[test]
    fn patches_for_other_objects_explain_nothing() {
        let patch =
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: any}\nspec: {memory: 5Mi}\n";
        for (target, place) in [
            ("{annotationSelector: q=zzz}", "d.yaml:6:11"),
            ("{labelSelector: \"app=api,x!=y\"}", "p.yaml:4:16"),
            ("{labelSelector: app=other}", "d.yaml:6:11"),
            ("{name: ap}", "d.yaml:6:11"),
            (
                "{name: \"ap.\", kind: Deployment, group: apps}",
                "p.yaml:4:16",
            ),
            ("{namespace: elsewhere}", "d.yaml:6:11"),
        ] {
            let kustomization =
                format!("resources: [d.yaml]\npatches: [{{path: p.yaml, target: {target}}}]");
            let case = Case::new(&[
                ("kustomization.yaml", &kustomization),
                ("d.yaml", &deployment("api", ", labels: {app: api}", "5Mi")),
                ("p.yaml", patch),
            ]);
            let out = rendered("api", ", labels: {app: api}", "d.yaml", "5Mi");
            assert_eq!(case.attribute(&out, "/spec/memory"), [place], "{target}");
        }
    }

    #[test]
    fn what_a_patch_replaces_or_removes_is_told() {
        let patch = |spec: &str| {
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: api}}\nspec: {spec}\n"
            )
        };
        for (spec, place) in [
            ("{memory: null}", "d.yaml:5:3 -/spec/memory p.yaml:4:8"),
            (
                "{$patch: replace, list: []}",
                "p.yaml:4:7 -/spec/memory p.yaml:4:16",
            ),
        ] {
            let case = Case::new(&[
                (
                    "kustomization.yaml",
                    "resources: [d.yaml]\npatches: [{path: p.yaml}]",
                ),
                ("d.yaml", &deployment("api", "", "5Mi")),
                ("p.yaml", &patch(spec)),
            ]);
            let out = rendered("api", "", "d.yaml", "5Mi").replace("  memory: 5Mi\n", "");
            assert_eq!(case.attribute(&out, "/spec/memory"), [place], "{spec}");
        }
    }

    #[test]
    fn generated_objects_lead_to_their_generator() {
        let kustomization = "configMapGenerator:\n  - name: settings\n    literals: [a=b]\n";
        let case = Case::new(&[("kustomization.yaml", kustomization)]);
        let out = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings-abc\n  annotations:\n    \
                   config.kubernetes.io/origin: |\n      configuredIn: ../kustomization.yaml\n";
        assert_eq!(case.attribute(out, "/data"), ["kustomization.yaml:2:5"]);
    }
}
