//! `replacements:` copy a value from one object to fields of others.
//!
//! Source: `api/filters/replacement` and `yaml/match.go` of kustomize 5.5.0.

use regex::Regex;
use stagegate_core::{Mark, Node, Str, Value};
use stagegate_manifest::{Format, ProblemKind, Profile, load};

use super::Context;
use super::fields::split_path;
use super::id::Id;
use super::limits::{is_too_deep, weight};
use super::resource::{Resource, entry};
use super::scalars::untyped;
use super::select::LabelSelector;
use super::spec::{
    ExactTarget, FieldOptions, Reader, Replacement, ReplacementField, ReplacementSource,
    ReplacementTarget, Spec, Text,
};
use crate::Failure;

/// A value on its way: what it is, what was written, and where.
struct Copied {
    node: Node,
    text: Str,
}

impl Context<'_> {
    /// Does all replacements of a kustomization.
    pub(crate) fn replacements(
        &self,
        resources: &mut [Resource],
        spec: &Spec,
        folder: &str,
    ) -> Result<(), Vec<Failure>> {
        for field in &spec.replacements {
            match field {
                ReplacementField::Here(replacement) => self.replacement(resources, replacement)?,
                ReplacementField::Path(path) => {
                    for replacement in self.replacements_in(folder, path)? {
                        self.replacement(resources, &replacement)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// One replacement or a list of them, in a file of their own.
    fn replacements_in(&self, folder: &str, path: &Text) -> Result<Vec<Replacement>, Vec<Failure>> {
        let (file, source) = self.read(folder, path)?;
        let loaded = load(file, &source, Format::Yaml, Profile::Apply);
        let unreadable = |p: &&stagegate_manifest::Problem| p.kind == ProblemKind::Unreadable;
        if let Some(problem) = loaded.problems.iter().find(unreadable) {
            return Err(vec![self.failure(problem.mark, &*problem.message)]);
        }
        let mut reader = Reader {
            path: &source.path,
            failures: Vec::new(),
        };
        let read = match loaded.documents.first() {
            Some(Node {
                value: Value::Array(items),
                ..
            }) => items.iter().map(|item| reader.replacement(item)).collect(),
            Some(
                node @ Node {
                    value: Value::Object(_),
                    ..
                },
            ) => vec![reader.replacement(node)],
            _ => {
                let message = "a file of replacements holds one or a list of them";
                return Err(vec![self.failure(Mark::new(file, 0, 0), message)]);
            }
        };
        if reader.failures.is_empty() {
            Ok(read)
        } else {
            Err(reader.failures)
        }
    }

    fn replacement(
        &self,
        resources: &mut [Resource],
        replacement: &Replacement,
    ) -> Result<(), Vec<Failure>> {
        let (Some(source), Some(targets)) = (&replacement.source, &replacement.targets) else {
            let message = "replacements must specify a source and at least one target";
            return Err(vec![self.failure(replacement.mark, message)]);
        };
        let Some(index) = self.source(resources, source)? else {
            return Ok(());
        };
        // Found once: what is copied may change what the path asks for.
        let path = smart_split(&source.field_path.value);
        let at = self.resolve(&resources[index].node, &path);
        self.value(&resources[index], source, &at)?;
        targets
            .iter()
            .try_for_each(|target| self.copy_to(resources, target, (index, source, &at)))
    }

    /// The object with the value to copy. `None` where it may lie outside of the repository.
    fn source(
        &self,
        resources: &[Resource],
        source: &ReplacementSource,
    ) -> Result<Option<usize>, Vec<Failure>> {
        let is_meant = |i: &usize| source.select.selects(&resources[*i].ids());
        let mut found = (0..resources.len()).filter(is_meant);
        match (found.next(), found.next()) {
            (Some(index), None) => Ok(Some(index)),
            (None, _) if self.incomplete => Ok(None),
            (None, _) => Err(vec![
                self.failure(source.mark, "nothing selected by this source"),
            ]),
            _ => Err(vec![
                self.failure(source.mark, "multiple matches for this source"),
            ]),
        }
    }

    /// The value to copy.
    fn value(
        &self,
        resource: &Resource,
        source: &ReplacementSource,
        at: &[String],
    ) -> Result<Copied, Vec<Failure>> {
        let node = self
            .lookup(&resource.node, at)
            .filter(|node| match &node.value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(map) => !map.is_empty(),
                _ => true,
            });
        let Some(node) = node else {
            let message = format!(
                "fieldPath `{}` is missing for replacement source {}",
                source.field_path.value,
                resource.id()
            );
            return Err(vec![self.failure(source.field_path.mark, message)]);
        };
        let mut copied = Copied {
            text: self.scalars().text(node).as_ref().into(),
            node: node.clone(),
        };
        if let Some(options) = source.options.as_ref().filter(|o| !o.delimiter.is_empty()) {
            let mark = source.field_path.mark;
            if matches!(node.value, Value::Object(_) | Value::Array(_)) {
                return Err(vec![self.failure(mark, ONLY_SCALARS)]);
            }
            let parts: Vec<&str> = copied.text.split(options.delimiter.as_str()).collect();
            let part = usize::try_from(options.index)
                .ok()
                .and_then(|i| parts.get(i));
            let Some(part) = part else {
                let message = format!(
                    "options.index {} is out of bounds: there are {} parts",
                    options.index,
                    parts.len()
                );
                return Err(vec![self.failure(mark, message)]);
            };
            let text: Str = (*part).into();
            copied.node.value = retyped(&copied.node.value, &text);
            copied.text = text;
        }
        Ok(copied)
    }

    /// The one node that a path names: the first item that fits.
    fn lookup<'n>(&self, node: &'n Node, path: &[String]) -> Option<&'n Node> {
        path.iter().try_fold(node, |node, part| match &node.value {
            Value::Array(items) => match list_match(part) {
                Some(("", value)) => items.iter().find(|i| *self.scalars().text(i) == *value),
                Some((key, value)) => items.iter().find(|item| {
                    let field = item.as_map().and_then(|map| map.get(key));
                    field.is_some_and(|field| *self.scalars().text(field) == *value)
                }),
                None if part == "-" => items.last(),
                None => part.parse::<usize>().ok().and_then(|i| items.get(i)),
            },
            Value::Object(map) => map.get(part.trim()),
            _ => None,
        })
    }

    /// A path with the items of lists by their indexes.
    fn resolve(&self, node: &Node, path: &[String]) -> Vec<String> {
        let mut at = Vec::with_capacity(path.len());
        let mut there = Some(node);
        for part in path {
            let below = there.and_then(|node| self.lookup(node, std::slice::from_ref(part)));
            let index = there.and_then(|node| {
                let same = |item: &Node| below.is_some_and(|below| std::ptr::eq(item, below));
                node.items().iter().position(same)
            });
            at.push(index.map_or_else(|| part.clone(), |index| index.to_string()));
            there = below;
        }
        at
    }

    fn copy_to(
        &self,
        resources: &mut [Resource],
        target: &ReplacementTarget,
        (source, from, at): (usize, &ReplacementSource, &[String]),
    ) -> Result<(), Vec<Failure>> {
        let Some(select) = &target.select else {
            return Err(vec![
                self.failure(target.mark, "target must specify resources to select"),
            ]);
        };
        let by_labels = |target: &ExactTarget, node: &Node| -> Result<bool, Vec<Failure>> {
            for (text, field) in [
                (&target.annotation_selector, "annotations"),
                (&target.label_selector, "labels"),
            ] {
                let selector =
                    LabelSelector::new(text).map_err(|m| vec![self.failure(text.mark, m)])?;
                if !selector.selects(node, field, self.scalars()) {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        for index in 0..resources.len() {
            if !by_labels(select, &resources[index].node)? {
                continue;
            }
            let resource = &resources[index];
            let ids: Vec<Id> = resource.ids();
            let mut rejected = false;
            for reject in &target.reject {
                let asks_labels = !reject.annotation_selector.value.is_empty()
                    || !reject.label_selector.value.is_empty();
                rejected |= (asks_labels && by_labels(reject, &resource.node)?)
                    || (!reject.names_nothing() && reject.selects(&ids));
            }
            if rejected || !select.selects(&ids) {
                continue;
            }
            for path in &target.field_paths {
                // Read anew: an earlier field may have been the source itself.
                let value = self.value(&resources[source], from, at)?;
                let resource = &mut resources[index];
                let create = target
                    .options
                    .as_ref()
                    .is_some_and(|options| options.create);
                let found = Matcher {
                    context: self,
                    create: create.then_some(&value.node),
                    mark: path.mark,
                }
                .find(&mut resource.node, &smart_split(&path.value));
                let missing = || {
                    let what = if create { "find or create" } else { "find" };
                    let message = format!(
                        "unable to {what} field {:?} in replacement target",
                        path.value
                    );
                    vec![
                        self.failure(path.mark, message)
                            .with_help(format!("seen from {}", resource.history.written)),
                    ]
                };
                let found = found.map_err(|message| {
                    if message.is_empty() {
                        return missing();
                    }
                    vec![self.failure(path.mark, format!("{}: {message}", missing()[0].message))]
                })?;
                if found.is_empty() {
                    return Err(missing());
                }
                if is_too_deep(path.value.matches('.').count() + 1, &value.node) {
                    let message = format!("{} nests too deep with this", path.value);
                    return Err(vec![self.failure(path.mark, message)]);
                }
                let added = found.len() * weight(&value.node);
                for node in found {
                    let is_made = node.mark.is_none();
                    let overridden = self.put(node, &value, target.options.as_ref(), path)?;
                    resource.history.overridden.extend(overridden);
                    if is_made && matches!(node.value, Value::Bool(_) | Value::Number(_)) {
                        if index == source {
                            // Told apart from what it was copied from, which has its type.
                            node.mark.end = node.mark.start;
                        }
                        resource.history.untyped.push(node.mark);
                    }
                }
                resource.weight += added;
                resource.spread_from(value.node.mark);
            }
        }
        self.bound(resources, target.mark)
    }

    /// Sets a field that was found.
    fn put(
        &self,
        node: &mut Node,
        value: &Copied,
        options: Option<&FieldOptions>,
        path: &Text,
    ) -> Result<Option<(Mark, Mark)>, Vec<Failure>> {
        let is_scalar = !matches!(node.value, Value::Object(_) | Value::Array(_));
        let mut text = value.text.clone();
        let delimiter = options.filter(|o| !o.delimiter.is_empty());
        if let Some(options) = delimiter {
            if !is_scalar {
                return Err(vec![self.failure(path.mark, ONLY_SCALARS)]);
            }
            let is_made = node.mark.is_none();
            let own = if is_made {
                String::new()
            } else {
                self.scalars().text(node).into_owned()
            };
            let mut parts: Vec<&str> = own.split(options.delimiter.as_str()).collect();
            match usize::try_from(options.index) {
                Err(_) => parts.insert(0, &value.text),
                Ok(i) if i >= parts.len() => parts.push(&value.text),
                Ok(i) => parts[i] = &value.text,
            }
            text = parts.join(&options.delimiter).into();
        }
        let old = node.mark;
        if !is_scalar {
            *node = value.node.clone();
        } else if old.is_none() {
            // A field that was just made has no type but that of its text.
            let mark = value.node.mark;
            *node = match &value.node.value {
                Value::Object(_) | Value::Array(_) => value.node.clone(),
                // Nothing is written, which is null to kustomize.
                _ if text.is_empty() => Node {
                    mark: Mark {
                        end: mark.start,
                        ..mark
                    },
                    value: Value::Null,
                },
                _ => Node {
                    mark,
                    value: untyped(&text),
                },
            };
        } else {
            let new = self.of_type(node, &text).ok_or_else(|| {
                let message = format!(
                    "the value does not fit: {} in the target is {}",
                    path.value,
                    match node.value {
                        Value::Bool(_) => "true or false",
                        Value::Null => "null",
                        _ => "a number",
                    }
                );
                vec![
                    self.failure(path.mark, message)
                        .with_help("put the target's value in quotes"),
                ]
            })?;
            *node = Node {
                mark: value.node.mark,
                value: new,
            };
        }
        let new = node.mark;
        Ok((!old.is_none() && new != old).then_some((new, old)))
    }

    /// A text as a value of the type that is there.
    fn of_type(&self, there: &Node, text: &str) -> Option<Value> {
        if matches!(there.value, Value::String(_)) {
            return Some(Value::String(text.into()));
        }
        let value = untyped(text);
        let fits = matches!(
            (&there.value, &value),
            (Value::Number(_), Value::Number(_))
                | (Value::Bool(_), Value::Bool(_))
                | (Value::Null, Value::Null)
        );
        fits.then_some(value)
    }
}

const ONLY_SCALARS: &str = "delimiter option can only be used with scalar nodes";

/// A part of a value keeps the type of the whole where it can.
fn retyped(value: &Value, text: &str) -> Value {
    match value {
        Value::String(_) => Value::String(text.into()),
        _ => untyped(text),
    }
}

/// Finds every field that a path names, and makes it where that is wanted.
struct Matcher<'a, 'c> {
    context: &'a Context<'c>,
    /// What will be set, where it is to be made.
    create: Option<&'a Node>,
    mark: Mark,
}

impl Matcher<'_, '_> {
    fn find<'n>(&self, node: &'n mut Node, path: &[String]) -> Result<Vec<&'n mut Node>, String> {
        let Some((part, rest)) = path.split_first() else {
            return Ok(vec![node]);
        };
        if matches!(node.value, Value::Null) {
            return Ok(Vec::new());
        }
        if let Ok(index) = part.parse::<usize>() {
            return self.by_index(node, index, rest);
        }
        if let Some((key, pattern)) = list_match(part) {
            return self.by_match(node, key, pattern, rest);
        }
        if part == "*" {
            let Value::Array(items) = &mut node.value else {
                return Err("wrong node kind: * stands for the items of a list".to_owned());
            };
            let mut found = Vec::new();
            for item in items {
                found.extend(self.find(item, rest)?);
            }
            return Ok(found);
        }
        let Value::Object(map) = &mut node.value else {
            return Err(format!(
                "wrong node kind: {part} is asked of what is no mapping"
            ));
        };
        if map.get(part).is_none() {
            if self.create.is_none() {
                return Ok(Vec::new());
            }
            map.insert(entry(part, self.mark, self.empty(rest)));
            if rest.is_empty()
                && let Some(made) = map.get_mut(part)
            {
                made.mark = Mark::NONE;
            }
        }
        match map.get_mut(part) {
            Some(below) => self.find(below, rest),
            None => Ok(Vec::new()),
        }
    }

    /// What a made field begins as: a list where an item is asked of it.
    fn empty(&self, rest: &[String]) -> Value {
        match rest.first() {
            None => match self.create.map(|node| &node.value) {
                Some(Value::Object(_)) => Value::Object(stagegate_core::Map::new()),
                Some(Value::Array(_)) => Value::Array(Vec::new()),
                _ => Value::Null,
            },
            Some(next) if list_match(next).is_some() || next.parse::<usize>().is_ok() => {
                Value::Array(Vec::new())
            }
            Some(_) => Value::Object(stagegate_core::Map::new()),
        }
    }

    fn by_index<'n>(
        &self,
        node: &'n mut Node,
        index: usize,
        rest: &[String],
    ) -> Result<Vec<&'n mut Node>, String> {
        let Value::Array(items) = &mut node.value else {
            return Err(format!(
                "wrong node kind: item {index} is asked of what is no list"
            ));
        };
        let length = items.len();
        if index == length && self.create.is_some() {
            items.push(Node {
                mark: if rest.is_empty() {
                    Mark::NONE
                } else {
                    self.mark
                },
                value: self.empty(rest),
            });
        }
        match items.get_mut(index) {
            Some(item) => self.find(item, rest),
            None => Err(format!(
                "index {index} specified but only {length} elements found"
            )),
        }
    }

    fn by_match<'n>(
        &self,
        node: &'n mut Node,
        key: &str,
        pattern: &str,
        rest: &[String],
    ) -> Result<Vec<&'n mut Node>, String> {
        let Value::Array(items) = &mut node.value else {
            return Err("wrong node kind: an item is asked of what is no list".to_owned());
        };
        let regex =
            Regex::new(pattern).map_err(|_| format!("{pattern:?} is no regular expression"))?;
        let scalars = self.context.scalars();
        let fits = |item: &Node| {
            if key.is_empty() {
                return regex.is_match(&scalars.text(item));
            }
            let field = item.as_map().and_then(|map| map.get(key));
            field.is_some_and(|field| regex.is_match(&scalars.text(field)))
        };
        let mut indexes: Vec<usize> = (0..items.len()).filter(|i| fits(&items[*i])).collect();
        if indexes.is_empty() && self.create.is_some() {
            let value = untyped(pattern);
            let value = if key.is_empty() {
                value
            } else {
                Value::Object(stagegate_core::Map::from_entries(vec![entry(
                    key, self.mark, value,
                )]))
            };
            items.push(Node {
                mark: self.mark,
                value,
            });
            indexes.push(items.len() - 1);
        }
        let mut found = Vec::new();
        for (i, item) in items.iter_mut().enumerate() {
            if indexes.contains(&i) {
                if key.is_empty() {
                    found.push(item);
                } else {
                    found.extend(self.find(item, rest)?);
                }
            }
        }
        Ok(found)
    }
}

/// `[key=value]`
fn list_match(part: &str) -> Option<(&str, &str)> {
    part.strip_prefix('[')?.strip_suffix(']')?.split_once('=')
}

/// Splits at dots, but not within brackets.
pub(crate) fn smart_split(path: &str) -> Vec<String> {
    let mut result = Vec::new();
    let mut parts = split_path(path, '.').into_iter();
    while let Some(part) = parts.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            result.push(part);
            continue;
        }
        let mut bracketed = part;
        for part in parts.by_ref() {
            bracketed.push('.');
            bracketed.push_str(&part);
            if part.ends_with(']') {
                break;
            }
        }
        if bracketed.contains('=') {
            result.push(bracketed);
        } else {
            result.push(bracketed.trim_matches(['[', ']']).to_owned());
        }
    }
    result
}
