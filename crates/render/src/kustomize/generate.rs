//! ConfigMaps and Secrets out of literals and files, and the hash of their content.
//!
//! Source: `api/internal/generators`, `api/kv` and `api/hasher` of kustomize 5.5.0.

use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use stagegate_core::{Entry, Map, Mark, Node, Number, ObjectRef, Str, Value};

use super::Context;
use super::resource::{Resource, entry, object_in};
use super::scalars::{Scalars, go_float, untyped};
use super::spec::{Behavior, Generator, GeneratorOptions, Pairs, Spec, Text};
use crate::Failure;
use crate::kustomization::value_of_literal;

/// A key with its value.
struct Pair {
    key: Str,
    key_mark: Mark,
    value: Vec<u8>,
    mark: Mark,
}

impl Context<'_> {
    /// Makes the ConfigMaps of a kustomization, then its Secrets.
    pub(crate) fn generate(
        &self,
        spec: &Spec,
        folder: &str,
    ) -> Result<Vec<Resource>, Vec<Failure>> {
        let config_maps = spec.config_maps.iter().map(|g| (g, false));
        let secrets = spec.secrets.iter().map(|g| (g, true));
        config_maps
            .chain(secrets)
            .map(|(generator, is_secret)| self.generate_one(spec, generator, is_secret, folder))
            .collect()
    }

    fn generate_one(
        &self,
        spec: &Spec,
        generator: &Generator,
        is_secret: bool,
        folder: &str,
    ) -> Result<Resource, Vec<Failure>> {
        let mark = generator.mark;
        if generator.name.value.is_empty() {
            return Err(vec![self.failure(mark, "a configmap must have a name")]);
        }
        let kind = if is_secret { "Secret" } else { "ConfigMap" };
        let own = generator.options.clone();
        let options = match (own, &spec.generator_options) {
            (own, Some(all)) => Some(own.unwrap_or_default().with(all)),
            (own, None) => own,
        };
        let mut metadata = vec![text_entry("name", &generator.name)];
        metadata.extend(
            generator
                .namespace
                .as_ref()
                .map(|n| text_entry("namespace", n)),
        );
        if let Some(options) = &options {
            metadata.extend(pairs_entry("labels", options.labels.as_ref(), mark));
            metadata.extend(pairs_entry(
                "annotations",
                options.annotations.as_ref(),
                mark,
            ));
        }
        let mut members = vec![
            entry("apiVersion", mark, Value::String("v1".into())),
            entry("kind", mark, Value::String(kind.into())),
            entry("metadata", mark, Value::Object(Map::from_entries(metadata))),
        ];
        let pairs = self.pairs_of(generator, folder)?;
        if is_secret {
            let data = pairs
                .iter()
                .map(|pair| pair.entry(base64_lines(&pair.value)));
            members.push(entry(
                "data",
                mark,
                Value::Object(Map::from_entries(data.collect())),
            ));
            let secret_type = generator.secret_type.clone().unwrap_or(Text {
                value: "Opaque".into(),
                mark,
            });
            members.push(text_entry("type", &secret_type));
        } else {
            let (mut data, mut binary) = (Vec::new(), Vec::new());
            for pair in &pairs {
                match std::str::from_utf8(&pair.value) {
                    Ok(text) => data.push(pair.entry(text.to_owned())),
                    Err(_) => binary.push(pair.entry(base64_lines(&pair.value))),
                }
            }
            for (name, held) in [("data", data), ("binaryData", binary)] {
                if !held.is_empty() {
                    members.push(entry(name, mark, Value::Object(Map::from_entries(held))));
                }
            }
        }
        if let Some(mark) = options.as_ref().and_then(|o| o.immutable) {
            members.push(entry("immutable", mark, Value::Bool(true)));
        }
        let node = Node {
            mark,
            value: Value::Object(Map::from_entries(members)),
        };
        let mut resource = Resource::read(node);
        resource.history.files = Vec::new();
        resource.history.generated = Some(if is_secret {
            "SecretGenerator"
        } else {
            "ConfigMapGenerator"
        });
        resource.history.written = std::sync::Arc::new(ObjectRef {
            namespace: None,
            ..(*resource.history.written).clone()
        });
        resource.needs_hash =
            !options.is_some_and(|o: GeneratorOptions| o.disable_name_suffix_hash);
        resource.behavior = generator.behavior;
        resource.style_texts();
        Ok(resource)
    }

    fn pairs_of(&self, generator: &Generator, folder: &str) -> Result<Vec<Pair>, Vec<Failure>> {
        let mut pairs: Vec<Pair> = Vec::new();
        for path in &generator.envs {
            self.variables(folder, path, &mut pairs)?;
        }
        for literal in &generator.literals {
            pairs.push(self.literal(literal)?);
        }
        for file in &generator.files {
            pairs.push(self.file(folder, file)?);
        }
        let mut seen: Vec<&Str> = Vec::new();
        for pair in &pairs {
            if !matches!(untyped(&pair.key), Value::String(_)) {
                let message = format!(
                    "kustomize writes the key {:?} without quotes, and then reads it as none",
                    pair.key
                );
                return Err(vec![self.failure(pair.key_mark, message)]);
            }
            if seen.contains(&&pair.key) {
                let message = format!(
                    "{} illegally repeats the key {:?}",
                    generator.name.value, pair.key
                );
                return Err(vec![self.failure(pair.key_mark, message)]);
            }
            seen.push(&pair.key);
        }
        Ok(pairs)
    }

    /// The lines of a file of variables.
    fn variables(
        &self,
        folder: &str,
        path: &Text,
        pairs: &mut Vec<Pair>,
    ) -> Result<(), Vec<Failure>> {
        /// Longer lines end what Go's reader reads, without a word.
        const LONGEST: usize = 64 << 10;
        let (file, source) = self.read(folder, path)?;
        if source.has_invalid() {
            return Err(vec![
                self.failure(Mark::new(file, 0, 0), "the file has invalid utf8 bytes"),
            ]);
        }
        let offset = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
        let mut start = 0;
        for line in source.text.split_inclusive('\n') {
            let from = start;
            start += line.len();
            if line.len() > LONGEST {
                break;
            }
            let content = line.strip_suffix('\n').unwrap_or(line);
            let content = content.strip_suffix('\r').unwrap_or(content);
            let trimmed = content.trim_start();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let key_start = from + content.len() - trimmed.len();
            let (key, value) = trimmed.split_once('=').unwrap_or((trimmed, ""));
            let key_end = key_start + key.len();
            let value_start = (key_end + 1).min(from + content.len());
            if key.is_empty() {
                // kustomize takes a line without a key for an empty one.
                continue;
            }
            pairs.push(Pair {
                key: key.into(),
                key_mark: Mark::new(file, offset(key_start), offset(key_end)),
                value: value.as_bytes().to_vec(),
                mark: Mark::new(file, offset(value_start), offset(from + content.len())),
            });
        }
        Ok(())
    }

    fn literal(&self, literal: &Text) -> Result<Pair, Vec<Failure>> {
        let Some((key, value)) = literal
            .value
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
        else {
            // What stands there may be a secret.
            return Err(vec![self.failure(
                literal.mark,
                "invalid literal source, expected key=value",
            )]);
        };
        let is_quoted =
            |quote| value.len() >= 2 && value.starts_with(quote) && value.ends_with(quote);
        let value = if is_quoted('"') || is_quoted('\'') {
            &value[1..value.len() - 1]
        } else {
            value
        };
        let source = self.tree.sources().get(literal.mark.file);
        let mark = source.map_or(literal.mark, |source| {
            value_of_literal(&source, literal.mark)
        });
        Ok(Pair {
            key: key.into(),
            key_mark: literal.mark,
            value: value.as_bytes().to_vec(),
            mark,
        })
    }

    fn file(&self, folder: &str, file: &Text) -> Result<Pair, Vec<Failure>> {
        let fail = |message: &str| vec![self.failure(file.mark, message)];
        let (key, path) = match file.value.matches('=').count() {
            0 => (base_name(&file.value), file.value.as_str()),
            1 => match file.value.split_once('=') {
                Some(("", _)) => return Err(fail("missing key name before the file path")),
                Some((_, "")) => return Err(fail("missing file path behind the key name")),
                Some((key, path)) => (key, path),
                None => return Err(fail("no file")),
            },
            _ => return Err(fail("key name or file path contains '='")),
        };
        let path = Text {
            value: path.into(),
            mark: file.mark,
        };
        Ok(Pair {
            key: key.into(),
            key_mark: file.mark,
            value: self.bytes(folder, &path)?,
            mark: file.mark,
        })
    }

    /// Adds what was generated to what is there: by itself, or into one of its name.
    pub(crate) fn absorb(
        &self,
        resources: &mut Vec<Resource>,
        mut new: Resource,
    ) -> Result<(), Vec<Failure>> {
        let id = new.id();
        let wanted = id.clone().key();
        let mark = new.node.mark;
        let found: Vec<usize> = (0..resources.len())
            .filter(|i| resources[*i].is_or_was(&wanted))
            .collect();
        let merges = matches!(new.behavior, Behavior::Merge | Behavior::Replace);
        match (found.as_slice(), merges) {
            ([], true) if self.incomplete => Ok(()),
            ([], true) => Err(vec![
                self.failure(
                    mark,
                    format!("id {id} does not exist; cannot merge or replace"),
                )
                .with_help("name a base that has it, or leave behavior out"),
            ]),
            ([], false) => {
                resources.push(new);
                Ok(())
            }
            ([_], false) => Err(vec![self.failure(
                mark,
                format!("id {id} exists; behavior must be merge or replace"),
            )]),
            ([index], true) => {
                let old = &resources[*index];
                self.take_metadata(&mut new, old);
                if new.behavior == Behavior::Merge {
                    self.merge_data(&mut new, old);
                    new.style_texts();
                }
                let own = new.id().key();
                let same = resources.iter().filter(|r| r.id().key() == own).count();
                if same != 1 || old.id().key() != own {
                    return Err(vec![self.failure(
                        mark,
                        format!("cannot find resource with id {id} to replace"),
                    )]);
                }
                if new.behavior == Behavior::Merge {
                    new.history.files.clone_from(&old.history.files);
                    new.history.generated = old.history.generated;
                }
                new.history
                    .transformations
                    .clone_from(&old.history.transformations);
                new.history.written = std::sync::Arc::clone(&old.history.written);
                resources[*index] = new;
                Ok(())
            }
            _ => Err(vec![self.failure(
                mark,
                format!("found multiple objects that could accept merge of {id}"),
            )]),
        }
    }

    /// Labels and annotations of both, name and namespace of the old one.
    fn take_metadata(&self, new: &mut Resource, old: &Resource) {
        for field in ["labels", "annotations"] {
            let mut held = text_members(&old.node, &["metadata", field], self);
            for own in text_members(&new.node, &["metadata", field], self) {
                held.retain(|e| e.key != own.key);
                held.push(own);
            }
            let mark = new.node.mark;
            if let Some(metadata) = object_in(&mut new.node, "metadata", mark) {
                metadata.remove(field);
                if !held.is_empty() {
                    metadata.insert(entry(field, mark, Value::Object(Map::from_entries(held))));
                }
            }
        }
        let id = old.id();
        let mark = old.node.mark;
        if let Some(metadata) = object_in(&mut new.node, "metadata", mark) {
            let name = old.node.get("metadata").and_then(|m| m.get("name"));
            let mark = name.map_or(mark, |n| n.mark);
            metadata.insert(entry("name", mark, Value::String(id.name.clone())));
            metadata.remove("namespace");
            if !id.namespace.is_empty() {
                metadata.insert(entry(
                    "namespace",
                    mark,
                    Value::String(id.namespace.clone()),
                ));
            }
        }
        new.previous.clone_from(&old.previous);
        new.prefixes.clone_from(&old.prefixes);
        new.suffixes.clone_from(&old.suffixes);
        new.vars.clone_from(&old.vars);
        new.needs_hash = new.needs_hash && old.needs_hash;
    }

    fn merge_data(&self, new: &mut Resource, old: &Resource) {
        for field in ["data", "binaryData"] {
            let mut held = text_members(&old.node, &[field], self);
            for own in text_members(&new.node, &[field], self) {
                let replaced = held.iter().position(|e| e.key == own.key);
                if let Some(i) = replaced {
                    let old = held.remove(i);
                    new.history.overridden.push((own.node.mark, old.node.mark));
                }
                held.push(own);
            }
            let at = old
                .node
                .get(field)
                .or(new.node.get(field))
                .map_or(new.node.mark, |n| n.mark);
            if let Value::Object(map) = &mut new.node.value {
                map.remove(field);
                if !held.is_empty() {
                    map.insert(entry(field, at, Value::Object(Map::from_entries(held))));
                }
            }
        }
    }
}

/// Members of an object, their values as texts.
fn text_members(node: &Node, path: &[&str], context: &Context<'_>) -> Vec<Entry> {
    let entries = node.path(path).map_or(&[][..], Node::entries).iter();
    let texts = entries.map(|e| {
        let mut e = e.clone();
        if e.node.as_str().is_none() {
            let text = match e.node.value {
                Value::Null => "".into(),
                _ => context.scalars().text(&e.node),
            };
            e.node.value = Value::String(text.as_ref().into());
        }
        e
    });
    texts.collect()
}

impl Pair {
    fn entry(&self, text: String) -> Entry {
        Entry {
            key: self.key.clone(),
            key_mark: self.key_mark,
            node: Node {
                mark: self.mark,
                value: Value::String(text.into()),
            },
        }
    }
}

fn text_entry(key: &str, text: &Text) -> Entry {
    entry(key, text.mark, Value::String(text.value.clone()))
}

fn pairs_entry(key: &str, pairs: Option<&Pairs>, mark: Mark) -> Option<Entry> {
    let pairs = pairs.filter(|pairs| !pairs.is_empty())?;
    let entries = pairs.iter().map(|(key, value)| {
        let mut made = text_entry(&key.value, value);
        made.key_mark = key.mark;
        made
    });
    Some(entry(
        key,
        mark,
        Value::Object(Map::from_entries(entries.collect())),
    ))
}

fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

/// Base64 in lines of 70 characters, where it takes more than one.
fn base64_lines(bytes: &[u8]) -> String {
    const LINE: usize = 70;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    if text.len() < LINE {
        return text;
    }
    let mut lines = String::with_capacity(text.len() + text.len() / LINE + 1);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE));
        lines.push_str(line);
        lines.push('\n');
        rest = behind;
    }
    lines
}

/// The hash that a generated object's name ends with. `None` for an object that a patch gave another
/// kind: kustomize then hashes its own notes of the file, which nobody else can have.
pub(crate) fn content_hash(node: &Node, scalars: Scalars<'_>) -> Option<String> {
    let absent = Node::unmarked(Value::String(Str::default()));
    // What is no object counts by its text, and a list not at all.
    let as_hashed = |key: &str| match node.as_map()?.get(key)? {
        node if matches!(node.value, Value::Object(_)) => Some(node.clone()),
        node if matches!(node.value, Value::Array(_)) => Some(Node::default()),
        node => Some(Node::unmarked(Value::String(
            scalars.text(node).as_ref().into(),
        ))),
    };
    let held = ["data", "binaryData", "stringData", "type"]
        .map(|key| (key, as_hashed(key).unwrap_or_else(|| absent.clone())));
    let field = |key: &str| {
        held.iter()
            .find(|(k, _)| *k == key)
            .map_or(&absent, |(_, node)| node)
    };
    let is_object = |key: &str| matches!(field(key).value, Value::Object(_));
    let kind = node.get("kind").and_then(Node::as_str)?;
    let mut members = vec![("data", field("data"))];
    let (kind_node, empty) = (Node::unmarked(Value::String(kind.into())), absent.clone());
    match kind {
        "ConfigMap" if is_object("binaryData") => {
            members.insert(0, ("binaryData", field("binaryData")));
        }
        "ConfigMap" | "Secret" => {}
        _ => return None,
    }
    members.push(("kind", &kind_node));
    // kustomize means the name, and looks for it in the wrong place.
    members.push(("name", &empty));
    if kind == "Secret" {
        if is_object("stringData") {
            members.push(("stringData", field("stringData")));
        }
        members.push(("type", field("type")));
    }
    let mut json = String::from("{");
    for (i, (key, value)) in members.iter().enumerate() {
        if i > 0 {
            json.push(',');
        }
        go_json_text(key, &mut json);
        json.push(':');
        go_json(value, &mut json);
    }
    json.push('}');
    let digest = Sha256::digest(json.as_bytes());
    let hex: String = digest
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let letters = hex.chars().map(|c| match c {
        // No vowels, and nothing that reads like one.
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        c => c,
    });
    Some(letters.collect())
}

/// JSON as Go writes it: keys sorted, and `<`, `>`, `&` escaped.
fn go_json(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(Number::Int(i)) => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "Go reads every number as a double"
            )]
            let double = *i as f64;
            out.push_str(&go_float(double));
        }
        Value::Number(Number::Float(f)) => out.push_str(&go_float(*f)),
        Value::String(text) => go_json_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                go_json(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<&Entry> = map.iter().collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for (i, entry) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                go_json_text(&entry.key, out);
                out.push(':');
                go_json(&entry.node, out);
            }
            out.push('}');
        }
    }
}

fn go_json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
