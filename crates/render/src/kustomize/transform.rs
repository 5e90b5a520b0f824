//! The transformers that set fields: namespace, names, labels, annotations, replicas, images.

use std::collections::HashMap;

use regex::Regex;
use stagegate_core::{Mark, Node, Number, Str, Value};

use super::Context;
use super::fields::{Configuration, Field, Make, Misfit, merge_fields, visit};
use super::id::{Id, Type};
use super::resource::{Resource, entry};
use super::scalars::untyped;
use super::spec::{Image, Pairs, Replica, Spec, Text};
use crate::Failure;

/// What sets a value: called with the value, which may be replaced.
type Set<'s> = &'s mut dyn FnMut(&mut Node) -> Result<(), Misfit>;

impl Context<'_> {
    pub(crate) fn set(
        &self,
        resource: &mut Resource,
        field: &Field,
        make: Make,
        mark: Mark,
        set: Set<'_>,
    ) -> Result<(), Vec<Failure>> {
        visit(&mut resource.node, field, make, mark, set).map_err(|misfit| self.misfit(misfit))
    }

    fn misfit(&self, misfit: Misfit) -> Vec<Failure> {
        vec![self.failure(misfit.mark, misfit.message)]
    }

    /// `namespace:`
    pub(crate) fn namespace(
        &self,
        resources: &mut [Resource],
        namespace: &Text,
        configuration: &Configuration,
    ) -> Result<(), Vec<Failure>> {
        for resource in resources.iter_mut() {
            resource.remember();
            let of = resource.id().of;
            let is_binding = ["RoleBinding", "ClusterRoleBinding"].contains(&of.kind.as_str());
            let mut overridden = Vec::new();
            let mut set = |node: &mut Node| set_text(node, namespace, &mut overridden);
            if !of.is_cluster_scoped() {
                let field = Field::of_all("metadata/namespace");
                self.set(resource, &field, Make::Scalar, namespace.mark, &mut set)?;
            }
            if is_binding {
                default_subjects(&mut resource.node, namespace)
                    .map_err(|misfit| self.misfit(misfit))?;
            }
            for field in fields_of(&configuration.namespace, &of) {
                let is_handled = match field.path.as_str() {
                    "metadata/namespace" => true,
                    "metadata/name" => !(of.group.is_empty() && of.version == "v1"),
                    "subjects/namespace" => {
                        is_binding
                            && ["RoleBinding", "ClusterRoleBinding"]
                                .contains(&field.of.kind.as_str())
                    }
                    _ => false,
                };
                if !is_handled {
                    self.set(resource, field, Make::Scalar, namespace.mark, &mut set)?;
                }
            }
            resource.history.overridden.extend(overridden);
        }
        let mut seen: HashMap<Id, ()> = HashMap::with_capacity(resources.len());
        for resource in resources.iter() {
            let id = resource.id();
            if seen.insert(id.clone().key(), ()).is_some() {
                return Err(vec![
                    self.failure(
                        namespace.mark,
                        format!(
                            "namespace transformation produces ID conflict: there are two of {id}"
                        ),
                    )
                    .with_help(
                        "two objects of one name come from different namespaces; rename one",
                    ),
                ]);
            }
        }
        Ok(())
    }

    /// `namePrefix:` and `nameSuffix:`
    pub(crate) fn affix(
        &self,
        resources: &mut [Resource],
        affix: &Text,
        fields: &[Field],
        is_prefix: bool,
    ) -> Result<(), Vec<Failure>> {
        for resource in resources {
            let of = resource.original_id().of;
            // Kinds whose names say what they are.
            let is_kept = ["CustomResourceDefinition", "Namespace"].contains(&of.kind.as_str())
                || (of.kind == "APIService" && of.group == "apiregistration.k8s.io");
            if is_kept {
                continue;
            }
            for field in fields.iter().filter(|field| of.fits(&field.of)) {
                if field.path == "metadata/name" {
                    if is_prefix {
                        resource.prefixes.push(affix.value.clone());
                    } else {
                        resource.suffixes.push(affix.value.clone());
                    }
                    resource.remember();
                }
                let field = Field {
                    of: Type::default(),
                    ..field.clone()
                };
                let scalars = self.scalars();
                let mut set = |node: &mut Node| {
                    only_scalar(node)?;
                    let text = scalars.text(node);
                    let text = if is_prefix {
                        format!("{}{text}", affix.value)
                    } else {
                        format!("{text}{}", affix.value)
                    };
                    // Without quotes, what looks like a number becomes one.
                    node.value = if scalars.is_quoted(node) {
                        Value::String(text.into())
                    } else {
                        untyped(&text)
                    };
                    Ok(())
                };
                self.set(resource, &field, Make::Scalar, affix.mark, &mut set)?;
            }
        }
        Ok(())
    }

    /// `labels:` and `commonLabels:`
    pub(crate) fn labels(
        &self,
        resources: &mut [Resource],
        spec: &Spec,
        configuration: &Configuration,
    ) -> Result<(), Vec<Failure>> {
        for label in &spec.labels {
            let mut fields = label.fields.clone();
            let mut add = |more: &[Field]| {
                merge_fields(&mut fields, more).map_err(|conflict| {
                    let mark = label.pairs.first().map_or(spec.mark, |(key, _)| key.mark);
                    vec![self.conflict(mark, &conflict)]
                })
            };
            add(&configuration.labels)?;
            if label.include_selectors {
                add(&configuration.common_labels)?;
            } else {
                if label.include_templates {
                    add(&configuration.template_labels)?;
                }
                add(&[Field::of_all("metadata/labels")])?;
            }
            self.pairs(resources, &label.pairs, &fields)?;
        }
        self.pairs(resources, &spec.common_labels, &configuration.common_labels)
    }

    /// Sets texts by key in every object that a field names.
    pub(crate) fn pairs(
        &self,
        resources: &mut [Resource],
        pairs: &Pairs,
        fields: &[Field],
    ) -> Result<(), Vec<Failure>> {
        if pairs.is_empty() {
            return Ok(());
        }
        for (key, _) in pairs {
            if !matches!(untyped(&key.value), Value::String(_)) {
                let message = format!(
                    "{:?} is read as a number, true, false or null where it is set, which no key is",
                    key.value
                );
                return Err(vec![self.failure(key.mark, message)]);
            }
        }
        let mark = pairs[0].0.mark;
        for resource in resources {
            let of = resource.id().of;
            let (mut overridden, mut written, mut made) = (Vec::new(), Vec::new(), Vec::new());
            let mut set = |node: &mut Node| {
                let misfit = Misfit {
                    mark: node.mark,
                    message: "labels or annotations are set here, and this is no mapping"
                        .to_owned(),
                };
                let map = match &mut node.value {
                    Value::Object(map) => map,
                    Value::Null => return Ok(()),
                    _ => return Err(misfit),
                };
                for (key, value) in pairs {
                    let text = Value::String(value.value.clone());
                    match map.iter_mut().find(|e| e.key == key.value) {
                        Some(there) => {
                            if there.node.mark != value.mark {
                                overridden.push((value.mark, there.node.mark));
                            }
                            there.node = Node {
                                mark: value.mark,
                                value: text,
                            };
                            written.push(there.clone());
                        }
                        None => {
                            made.push((key.value.clone(), key.mark));
                            let mut made = entry(&key.value, value.mark, text);
                            made.key_mark = key.mark;
                            map.insert(made);
                        }
                    }
                }
                Ok(())
            };
            for field in fields_of(fields, &of) {
                self.set(resource, field, Make::Object, mark, &mut set)?;
            }
            resource.history.overridden.extend(overridden);
            resource.spread(&written);
            resource.shared.extend(made);
            resource.shared.sort_unstable();
            resource.shared.dedup();
        }
        Ok(())
    }

    /// An entry of `replicas:`
    pub(crate) fn replica(
        &self,
        resources: &mut [Resource],
        replica: &Replica,
        fields: &[Field],
    ) -> Result<(), Vec<Failure>> {
        let mut found = false;
        for field in fields {
            for resource in resources.iter_mut() {
                let is_meant = |id: &Id| id.name == replica.name.value && id.of.fits(&field.of);
                if !resource.ids().iter().any(is_meant) {
                    continue;
                }
                found = true;
                // An object that changed its kind is found by the old one, and left alone.
                if !resource.id().of.fits(&field.of) {
                    continue;
                }
                let scalars = self.scalars();
                let mut overridden = Vec::new();
                let mut set = |node: &mut Node| {
                    only_scalar(node)?;
                    if !node.mark.is_none() && node.mark != replica.mark {
                        overridden.push((replica.mark, node.mark));
                    }
                    let value = if scalars.is_quoted(node) {
                        Value::String(replica.count.to_string().into())
                    } else {
                        Value::Number(Number::Int(replica.count))
                    };
                    *node = Node {
                        mark: replica.mark,
                        value,
                    };
                    Ok(())
                };
                self.set(resource, field, Make::Scalar, replica.mark, &mut set)?;
                resource.history.overridden.extend(overridden);
            }
        }
        if found || self.incomplete {
            return Ok(());
        }
        Err(vec![self.failure(
            replica.name.mark,
            format!(
                "resource with name {} does not match a config with the following kinds: Deployment, \
                 ReplicationController, ReplicaSet, StatefulSet",
                replica.name.value
            ),
        )])
    }

    /// An entry of `images:`
    pub(crate) fn image(
        &self,
        resources: &mut [Resource],
        image: &Image,
        fields: &[Field],
    ) -> Result<(), Vec<Failure>> {
        let Ok(matcher) = ImageMatcher::new(&image.name) else {
            // kustomize leaves everything as it is.
            return Ok(());
        };
        for resource in resources {
            let of = resource.id().of;
            if of.kind == "CustomResourceDefinition" {
                continue;
            }
            let mut overridden = Vec::new();
            let mut update = |node: &mut Node| -> Result<(), Misfit> {
                if matches!(node.value, Value::Null) {
                    return Ok(());
                }
                only_scalar(node)?;
                let old = self.scalars().text(node).into_owned();
                if matcher.fits(&old) {
                    let (new, mark) = renamed(&old, image);
                    let mark = mark.unwrap_or(node.mark);
                    if mark != node.mark {
                        overridden.push((mark, node.mark));
                    }
                    *node = Node {
                        mark,
                        value: Value::String(new.into()),
                    };
                }
                Ok(())
            };
            every_container(&mut resource.node, &mut update)
                .map_err(|misfit| self.misfit(misfit))?;
            for field in fields_of(fields, &of) {
                self.set(resource, field, Make::Nothing, Mark::NONE, &mut update)?;
            }
            resource.history.overridden.extend(overridden);
        }
        Ok(())
    }
}

/// The fields of a type, as their own type is matched already.
fn fields_of<'f>(fields: &'f [Field], of: &'f Type) -> impl Iterator<Item = &'f Field> {
    fields.iter().filter(|field| of.fits(&field.of))
}

fn only_scalar(node: &Node) -> Result<(), Misfit> {
    match node.value {
        Value::Object(_) | Value::Array(_) => Err(Misfit {
            mark: node.mark,
            message: "wrong node kind: a single value belongs here".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn set_text(
    node: &mut Node,
    text: &Text,
    overridden: &mut Vec<(Mark, Mark)>,
) -> Result<(), Misfit> {
    only_scalar(node)?;
    if node.mark != text.mark {
        overridden.push((text.mark, node.mark));
    }
    *node = Node {
        mark: text.mark,
        value: Value::String(text.value.clone()),
    };
    Ok(())
}

/// Service accounts named `default` are those of the namespace.
fn default_subjects(node: &mut Node, namespace: &Text) -> Result<(), Misfit> {
    let Value::Object(map) = &mut node.value else {
        return Ok(());
    };
    let Some(subjects) = map.get_mut("subjects") else {
        return Ok(());
    };
    let mark = subjects.mark;
    let subjects = match &mut subjects.value {
        Value::Array(subjects) => subjects,
        Value::Null => return Ok(()),
        _ => {
            return Err(Misfit {
                mark,
                message: "the subjects of a binding are a list".to_owned(),
            });
        }
    };
    for subject in subjects {
        if !matches!(subject.value, Value::Object(_) | Value::Null) {
            return Err(Misfit {
                mark: subject.mark,
                message: "a subject is a mapping".to_owned(),
            });
        }
        if subject.get("name").and_then(Node::as_str) != Some("default") {
            continue;
        }
        if let Value::Object(map) = &mut subject.value {
            map.insert(entry(
                "namespace",
                namespace.mark,
                Value::String(namespace.value.clone()),
            ));
        }
    }
    Ok(())
}

/// Calls `f` with the image of every item of a list `containers` or `initContainers`, anywhere.
fn every_container(
    node: &mut Node,
    f: &mut dyn FnMut(&mut Node) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    match &mut node.value {
        Value::Object(map) => {
            for entry in map.iter_mut() {
                every_container(&mut entry.node, f)?;
                if !["containers", "initContainers"].contains(&entry.key.as_str()) {
                    continue;
                }
                let Value::Array(items) = &mut entry.node.value else {
                    continue;
                };
                for item in items {
                    let image = match &mut item.value {
                        Value::Object(map) => map.get_mut("image"),
                        Value::Null => None,
                        _ => {
                            return Err(Misfit {
                                mark: item.mark,
                                message: "a container is a mapping".to_owned(),
                            });
                        }
                    };
                    image.map_or(Ok(()), &mut *f)?;
                }
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| every_container(item, f)),
        _ => Ok(()),
    }
}

/// Whether an image is of a name, whatever its tag and digest. kustomize takes the name for a regular
/// expression.
enum ImageMatcher {
    Plain(String),
    Regex(Regex),
}

impl ImageMatcher {
    fn new(name: &str) -> Result<ImageMatcher, regex::Error> {
        // A dot fits itself, and whoever writes a name means that; a dot for another letter is
        // found by the regular expression only.
        if !name.contains(|c: char| r"\.+*?()|[]{}^$".contains(c)) {
            return Ok(ImageMatcher::Plain(name.to_owned()));
        }
        let pattern = format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$");
        Regex::new(&pattern).map(ImageMatcher::Regex)
    }

    fn fits(&self, image: &str) -> bool {
        match self {
            ImageMatcher::Regex(regex) => regex.is_match(image),
            ImageMatcher::Plain(name) => image.strip_prefix(name.as_str()).is_some_and(|rest| {
                let is_part = |text: &str| {
                    text.chars()
                        .all(|c| c.is_ascii_alphanumeric() || "_.{}-".contains(c))
                };
                let rest = match rest.split_once("@sha256:") {
                    Some((rest, digest)) if is_part(digest) => rest,
                    Some(_) => return false,
                    None => rest,
                };
                rest.is_empty() || rest.strip_prefix(':').is_some_and(is_part)
            }),
        }
    }
}

/// An image with what an entry of `images` says, and the place of what says most of it: the tag or
/// digest, else the name.
fn renamed(old: &str, image: &Image) -> (String, Option<Mark>) {
    let (mut name, mut tag, mut digest) = split_image(old);
    if let Some(new) = &image.new_name {
        name = &new.value;
    }
    let suffixed: Str;
    match (&image.new_tag, &image.digest, &image.tag_suffix) {
        (Some(new_tag), new_digest, _) => {
            tag = &new_tag.value;
            digest = new_digest.as_ref().map_or("", Text::as_str);
        }
        (None, Some(new), _) => {
            tag = "";
            digest = &new.value;
        }
        (None, None, Some(suffix)) => {
            suffixed = format!("{tag}{}", suffix.value).into();
            tag = &suffixed;
            digest = "";
        }
        (None, None, None) => {}
    }
    let mut result = name.to_owned();
    for (sign, part) in [(':', tag), ('@', digest)] {
        if !part.is_empty() {
            result.push(sign);
            result.push_str(part);
        }
    }
    let says = [
        &image.new_tag,
        &image.digest,
        &image.tag_suffix,
        &image.new_name,
    ];
    (
        result,
        says.into_iter().flatten().next().map(|text| text.mark),
    )
}

/// Name, tag and digest.
fn split_image(image: &str) -> (&str, &str, &str) {
    let from = image.find('/').filter(|i| *i > 0).unwrap_or_default();
    let find = |sign| image[from..].find(sign).map(|i| i + from);
    match (find('@'), find(':')) {
        (None, None) => (image, "", ""),
        (Some(at), colon) if colon.is_none_or(|c| at < c) => (&image[..at], "", &image[at + 1..]),
        (Some(at), Some(colon)) => (&image[..colon], &image[colon + 1..at], &image[at + 1..]),
        (_, Some(colon)) => (&image[..colon], &image[colon + 1..], ""),
        (Some(at), None) => (&image[..at], "", &image[at + 1..]),
    }
}
