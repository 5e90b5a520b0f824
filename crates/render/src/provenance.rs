//! Which field of which file a rendered value came from.
//!
//! A renderer outside of this process gives back text that stands in no file of the repository.
//! Its origin annotations name the file of each object; from there the rendered tree is laid over
//! the object in that file and the patches on its way, and every node takes the mark of the last
//! of them that holds an equal value in the same place. What none of them holds (a value that a
//! transformer made) takes the mark of the field that was there before, else of its parent.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use stagegate_core::{
    FileId, Mark, Node, Object, ObjectRef, Origin, Pointer, Value, group_of, list_item_key,
};
use stagegate_manifest::{Format, Profile, Source, Sources, decode, load};

use crate::closure::Closure;
use crate::kustomization::{Kustomization, Patch};
use crate::{Tree, join, parent, plain};

const ORIGIN: &str = "config.kubernetes.io/origin";
const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// Gives the objects of one rendered root their marks and origins, and takes the annotations off
/// that carried them.
pub(crate) struct Provenance<'a> {
    tree: &'a Tree,
    closure: &'a Closure,
    /// The objects of the files that were read, by path.
    files: HashMap<String, Arc<Vec<Object>>>,
}

/// A patch, read.
struct Layer {
    /// A fragment of an object.
    fragment: Node,
}

impl<'a> Provenance<'a> {
    pub(crate) fn new(tree: &'a Tree, closure: &'a Closure) -> Self {
        Provenance {
            tree,
            closure,
            files: HashMap::new(),
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

    /// The object stands in a file.
    fn attribute_to_file(&mut self, object: &mut Object, path: &str) {
        let chain = self.closure.chain_to(path).unwrap_or_default();
        let mut files: Vec<FileId> = chain.iter().map(|k| k.file).collect();
        let candidates = self.objects(path);
        let source = original(&object.reference, &candidates);
        let base = match (source, self.tree.read(path)) {
            (Some(source), _) => source.node.clone(),
            (None, Ok((file, _))) => Node {
                mark: Mark::new(file, 0, 0),
                value: Value::Null,
            },
            (None, Err(_)) => return,
        };
        files.push(base.mark.file);
        object.source = source
            .filter(|s| s.reference != object.reference)
            .map(|s| Box::new(s.reference.clone()));
        object.origin = Arc::new(Origin {
            renderer: "kustomize",
            chain: files,
        });

        // Innermost first: a base's own patches are applied before those of its overlay.
        let mut layers = Vec::new();
        let mut operations = Vec::new();
        let name = source.map_or("", |s| s.reference.name.as_str());
        for kustomization in chain.iter().rev() {
            let mut appliers = Vec::new();
            self.closure.components(kustomization, &mut appliers);
            appliers.push(kustomization);
            for applier in appliers {
                for patch in &applier.patches {
                    self.read_patch(applier, patch, object, name, &mut layers, &mut operations);
                }
            }
        }
        let mut nodes = vec![&base];
        nodes.extend(layers.iter().map(|l: &Layer| &l.fragment));
        let mut removed = Vec::new();
        transfer(
            &mut object.node,
            &nodes,
            base.mark,
            "",
            &Pointer::root(),
            &mut removed,
        );
        for (path, value) in &operations {
            apply_operation(object, path, value, &mut removed);
        }
        removed.sort();
        removed.dedup();
        object.removed = removed;
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
            .filter(|(generator, _)| name.contains(generator.as_str()))
            .max_by_key(|(generator, _)| generator.len());
        let beginning = Mark {
            end: kustomization.mark.start,
            ..kustomization.mark
        };
        let mark = generator.map_or(beginning, |(_, mark)| *mark);
        object.node.for_each_mark_mut(&mut |m| *m = mark);
        // Without the hash of its content, which changes with every edit.
        object.source = generator.map(|(generator, _)| {
            Box::new(ObjectRef {
                name: generator.clone(),
                ..object.reference.clone()
            })
        });
        if kustomization.file != root.file {
            object.origin = Arc::new(Origin {
                renderer: "kustomize",
                chain: vec![root.file, kustomization.file],
            });
        }
    }

    fn objects(&mut self, path: &str) -> Arc<Vec<Object>> {
        if let Some(objects) = self.files.get(path) {
            return Arc::clone(objects);
        }
        let objects = match self.tree.read(path) {
            Ok((file, source)) => plain::read(file, &source, Profile::Kustomize).objects,
            Err(_) => Vec::new(),
        };
        let objects = Arc::new(objects);
        self.files.insert(path.to_owned(), Arc::clone(&objects));
        objects
    }

    /// Reads a patch, and keeps of it what is for this object.
    fn read_patch(
        &self,
        applier: &Kustomization,
        patch: &Patch,
        object: &Object,
        name: &str,
        layers: &mut Vec<Layer>,
        operations: &mut Vec<(String, Option<Node>)>,
    ) {
        let documents = match (&patch.path, &patch.inline) {
            (Some(path), _) => match self.tree.read(&join(parent(&applier.path), path)) {
                Ok((file, source)) => {
                    load(file, &source, Format::Yaml, Profile::Kustomize).documents
                }
                Err(_) => return,
            },
            (None, Some(text)) => inline_documents(text, self.tree.sources()),
            (None, None) => return,
        };
        for document in documents {
            if let Value::Array(steps) = document.value {
                if is_target(patch.target.as_ref(), object, name) {
                    operations.extend(steps.iter().filter_map(operation));
                }
                continue;
            }
            let own = ObjectRef::of(&document);
            let meant = match (&patch.target, own) {
                (Some(target), _) => is_target(Some(target), object, name),
                (None, Some(own)) => {
                    own.kind == object.reference.kind
                        && (own.name == name || own.name == object.reference.name)
                }
                (None, None) => false,
            };
            if meant {
                layers.push(Layer { fragment: document });
            }
        }
    }
}

/// A step of a JSON 6902 patch that changes something: its path and the value that it sets.
fn operation(step: &Node) -> Option<(String, Option<Node>)> {
    let path = step.get("path")?.as_str()?.to_owned();
    match step.get("op")?.as_str()? {
        "add" | "replace" => Some((path, Some(step.get("value")?.clone()))),
        "remove" => Some((
            path,
            Some(Node {
                mark: step.get("path")?.mark,
                value: Value::Null,
            }),
        )),
        _ => None,
    }
}

fn apply_operation(
    object: &mut Object,
    path: &str,
    value: &Option<Node>,
    removed: &mut Vec<(Pointer, Mark)>,
) {
    let (Some(pointer), Some(value)) = (Pointer::parse(path), value) else {
        return;
    };
    if matches!(value.value, Value::Null) {
        if object.node.at(&pointer).is_none() {
            removed.push((pointer, value.mark));
        }
        return;
    }
    let mut node = &mut object.node;
    for segment in pointer.segments() {
        let next = match &mut node.value {
            Value::Object(map) => map.get_mut(&segment),
            Value::Array(items) => {
                let last = items.len().checked_sub(1);
                let index = if segment == "-" {
                    last
                } else {
                    segment.parse().ok()
                };
                index.and_then(|i| items.get_mut(i))
            }
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => return,
        }
    }
    if node == value {
        *node = value.clone();
    }
}

/// Whether a patch's target may be an object. Patterns are taken to match: a mark is only given
/// to values that are equal.
fn is_target(target: Option<&Node>, object: &Object, original_name: &str) -> bool {
    let Some(target) = target else { return false };
    let text = |key: &str| target.get(key).and_then(Node::as_str);
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let fits = |wanted: Option<&str>, actual: &[&str]| {
        wanted.is_none_or(|w| !w.chars().all(plain) || actual.contains(&w))
    };
    fits(text("kind"), &[&object.reference.kind])
        && fits(text("group"), &[object.reference.group()])
        && fits(text("name"), &[&object.reference.name, original_name])
}

/// The object of a file that a rendered one was: of the same kind, with the same name or the part
/// of it that prefixes and suffixes leave.
fn original<'o>(rendered: &ObjectRef, candidates: &'o [Object]) -> Option<&'o Object> {
    let same_kind = || {
        candidates.iter().filter(|c| {
            c.reference.kind == rendered.kind
                && group_of(&c.reference.api_version) == rendered.group()
        })
    };
    same_kind()
        .filter(|c| rendered.name.contains(&c.reference.name))
        .max_by_key(|c| c.reference.name.len())
        .or_else(|| same_kind().next())
}

/// Reads the text of an inline patch; marks point into the file that it stands in.
fn inline_documents(text: &Node, sources: &Sources) -> Vec<Node> {
    let Some(inner) = text.as_str() else {
        return Vec::new();
    };
    let Some(outer) = sources.get(text.mark.file) else {
        return Vec::new();
    };
    // A table of its own: the text is no file.
    let own = Sources::new();
    let file = own.add(String::new(), decode(inner.into()));
    let Some(source) = own.get(file) else {
        return Vec::new();
    };
    let mut documents = load(file, &source, Format::Yaml, Profile::Kustomize).documents;
    let place = Inline {
        mark: text.mark,
        outer: &outer,
        inner: &source,
    };
    for document in &mut documents {
        document.for_each_mark_mut(&mut |mark| *mark = place.outer_mark(*mark));
    }
    documents
}

/// A text inside a block scalar of a file.
struct Inline<'a> {
    mark: Mark,
    outer: &'a Source,
    inner: &'a Source,
}

impl Inline<'_> {
    /// The place in the file of a place in the text: the same line, moved by the indentation.
    fn outer_mark(&self, inner: Mark) -> Mark {
        let raw = &self.outer.text[self.mark.start as usize..self.mark.end as usize];
        if !raw.starts_with('|') {
            // Folded and quoted texts lose their lines.
            return self.mark;
        }
        let (first, _) = self.outer.line_column(self.mark.start as usize);
        let offset = |position: u32| {
            let (line, _) = self.inner.line_column(position as usize);
            let in_line = position as usize - self.inner.line_start(line);
            let start = self.outer.line_start(first + line);
            let rest = &self.outer.text[start..];
            let indentation = rest.bytes().take_while(|b| *b == b' ').count();
            let own = self.inner.text[self.inner.line_start(line)..]
                .bytes()
                .take_while(|b| *b == b' ')
                .count();
            let moved = start + indentation.saturating_sub(own) + in_line;
            u32::try_from(moved)
                .unwrap_or(self.mark.end)
                .min(self.mark.end)
        };
        Mark {
            file: self.mark.file,
            start: offset(inner.start),
            end: offset(inner.end),
        }
    }
}

/// Lays marks over a rendered node. `layers` hold what the object's file and the patches on its
/// way have in the same place, innermost first.
fn transfer(
    rendered: &mut Node,
    layers: &[&Node],
    fallback: Mark,
    member: &str,
    here: &Pointer,
    removed: &mut Vec<(Pointer, Mark)>,
) {
    let present = || layers.iter().filter(|l| !matches!(l.value, Value::Null));
    rendered.mark = match rendered.value {
        // What is added belongs where the rest of the collection stands: in the innermost file.
        Value::Object(_) | Value::Array(_) => present().next(),
        _ => present()
            .rev()
            .find(|l| ***l == *rendered)
            .or_else(|| present().next_back()),
    }
    .map_or(fallback, |l| l.mark);
    let mark = rendered.mark;
    match &mut rendered.value {
        Value::Object(map) => {
            for entry in map.iter_mut() {
                let below: Vec<(&Node, Mark)> = layers
                    .iter()
                    .filter_map(|l| l.as_map()?.entry(&entry.key).map(|e| (&e.node, e.key_mark)))
                    .collect();
                entry.key_mark = below.first().map_or(mark, |(_, key_mark)| *key_mark);
                let nodes: Vec<&Node> = below.iter().map(|(node, _)| *node).collect();
                let there = here.clone().join(&entry.key);
                transfer(&mut entry.node, &nodes, mark, &entry.key, &there, removed);
            }
            for entry in layers.iter().skip(1).flat_map(|l| l.entries()) {
                let deletes = matches!(entry.node.value, Value::Null)
                    || entry.node.get("$patch").and_then(Node::as_str) == Some("delete");
                if deletes && map.get(&entry.key).is_none() {
                    removed.push((here.clone().join(&entry.key), entry.key_mark));
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                let nodes: Vec<&Node> = layers
                    .iter()
                    .filter_map(|l| same_item(l.items(), member, item, i))
                    .collect();
                let there = here.clone().join(i);
                transfer(item, &nodes, mark, "", &there, removed);
            }
        }
        _ => {}
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
