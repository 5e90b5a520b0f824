//! Which fields of which types a transformer changes.

use std::sync::{Arc, LazyLock};

use stagegate_core::{FileId, Mark, Node, Str, Value};
use stagegate_manifest::{Format, Profile, Source, Sources, decode, load};

use super::id::Type;
use super::resource::entry;
use crate::Failure;

/// A field of a type. Empty parts of the type fit all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) of: Type,
    /// As it is written: `spec/template/spec/containers[]/image`.
    pub(crate) path: Str,
    pub(crate) steps: Vec<Step>,
    /// Whether it is made where it is absent.
    pub(crate) create: bool,
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: Str,
    /// `[]` behind it: a list, which is never made.
    is_list: bool,
}

impl Field {
    pub(crate) fn new(of: Type, path: &str, create: bool) -> Field {
        let steps = split_path(path, '/').into_iter().map(|step| {
            let name = step.strip_suffix("[]");
            Step {
                is_list: name.is_some(),
                name: name.unwrap_or(&step).into(),
            }
        });
        Field {
            of,
            path: path.into(),
            steps: steps.collect(),
            create,
        }
    }

    /// A field of all types.
    pub(crate) fn of_all(path: &str) -> Field {
        Field::new(Type::default(), path, true)
    }
}

/// Splits at a delimiter that no backslash stands before. A leading one is passed over.
pub(crate) fn split_path(path: &str, delimiter: char) -> Vec<String> {
    let mut parts = path.split(delimiter).peekable();
    if path.starts_with(delimiter) {
        parts.next();
    }
    let mut result: Vec<String> = Vec::new();
    for part in parts {
        match result.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            _ => result.push(part.to_owned()),
        }
    }
    result
}

/// The names of one type that stand in fields of others.
#[derive(Clone, Debug)]
pub(crate) struct NameReference {
    pub(crate) target: Type,
    pub(crate) fields: Vec<Field>,
}

/// What kustomize calls the configuration of the transformers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configuration {
    pub(crate) name_prefix: Vec<Field>,
    pub(crate) name_suffix: Vec<Field>,
    pub(crate) namespace: Vec<Field>,
    pub(crate) common_labels: Vec<Field>,
    pub(crate) labels: Vec<Field>,
    pub(crate) template_labels: Vec<Field>,
    pub(crate) common_annotations: Vec<Field>,
    pub(crate) name_references: Vec<NameReference>,
    pub(crate) var_references: Vec<Field>,
    pub(crate) images: Vec<Field>,
    pub(crate) replicas: Vec<Field>,
}

/// What holds where no `configurations:` are named: that of kustomize 5.5.0.
pub(crate) static BUILT_IN: LazyLock<Arc<Configuration>> = LazyLock::new(|| {
    let sources = Sources::new();
    let bytes = include_bytes!("../../data/field-specs.yaml").to_vec();
    let file = sources.add(String::new(), decode(bytes));
    let read = sources
        .get(file)
        .and_then(|source| Configuration::read(file, &source).ok());
    Arc::new(read.unwrap_or_default())
});

/// Two fields that are one but for whether it is made.
pub(crate) struct Conflict(pub(crate) Str);

impl Configuration {
    /// Reads a file under `configurations:`.
    ///
    /// # Errors
    /// What is no YAML, unknown keys, values of another type.
    pub(crate) fn read(file: FileId, source: &Source) -> Result<Configuration, Vec<Failure>> {
        let fail = |mark: Mark, message: String| Failure::new(&source.path, mark, message);
        let loaded = load(file, source, Format::Yaml, Profile::Apply);
        let problems = loaded.problems.into_iter();
        let mut failures: Vec<Failure> = problems.map(|p| fail(p.mark, p.message)).collect();
        let mut result = Configuration::default();
        for entry in loaded.documents.first().map_or(&[][..], Node::entries) {
            let mut fields = |node: &Node| -> Vec<Field> {
                let items = node.items().iter();
                items
                    .filter_map(|item| field(item, &mut failures, &fail))
                    .collect()
            };
            match entry.key.to_ascii_lowercase().as_str() {
                "nameprefix" => result.name_prefix = fields(&entry.node),
                "namesuffix" => result.name_suffix = fields(&entry.node),
                "namespace" => result.namespace = fields(&entry.node),
                "commonlabels" => result.common_labels = fields(&entry.node),
                "labels" => result.labels = fields(&entry.node),
                "templatelabels" => result.template_labels = fields(&entry.node),
                "commonannotations" => result.common_annotations = fields(&entry.node),
                "varreference" => result.var_references = fields(&entry.node),
                "images" => result.images = fields(&entry.node),
                "replicas" => result.replicas = fields(&entry.node),
                "namereference" => {
                    for item in entry.node.items() {
                        let referrers = item.get("fieldSpecs").map_or_else(Vec::new, &mut fields);
                        result.name_references.push(NameReference {
                            target: type_of(item),
                            fields: referrers,
                        });
                    }
                }
                _ => failures.push(fail(
                    entry.key_mark,
                    format!(
                        "unknown field {:?}: not a kind of field specifications",
                        entry.key
                    ),
                )),
            }
        }
        result.sort();
        if failures.is_empty() {
            Ok(result)
        } else {
            Err(failures)
        }
    }

    /// Adds what another one has.
    ///
    /// # Errors
    /// A field that both have, made where it is absent by only one of them.
    pub(crate) fn merge(&mut self, other: &Configuration) -> Result<(), Conflict> {
        merge_fields(&mut self.name_prefix, &other.name_prefix)?;
        merge_fields(&mut self.name_suffix, &other.name_suffix)?;
        merge_fields(&mut self.namespace, &other.namespace)?;
        merge_fields(&mut self.common_labels, &other.common_labels)?;
        merge_fields(&mut self.labels, &other.labels)?;
        merge_fields(&mut self.template_labels, &other.template_labels)?;
        merge_fields(&mut self.common_annotations, &other.common_annotations)?;
        merge_fields(&mut self.var_references, &other.var_references)?;
        merge_fields(&mut self.images, &other.images)?;
        merge_fields(&mut self.replicas, &other.replicas)?;
        for reference in &other.name_references {
            let own = self.name_references.iter_mut();
            match own.into_iter().find(|own| own.target == reference.target) {
                Some(own) => merge_fields(&mut own.fields, &reference.fields)?,
                None => self.name_references.push(reference.clone()),
            }
        }
        self.sort();
        Ok(())
    }

    fn sort(&mut self) {
        let fields = [
            &mut self.name_prefix,
            &mut self.name_suffix,
            &mut self.namespace,
            &mut self.common_labels,
            &mut self.labels,
            &mut self.template_labels,
            &mut self.common_annotations,
            &mut self.var_references,
            &mut self.images,
            &mut self.replicas,
        ];
        for fields in fields {
            fields.sort_by_cached_key(|field| super::order::rank(&field.of));
        }
        let references = &mut self.name_references;
        references.sort_by_cached_key(|reference| super::order::rank(&reference.target));
    }
}

/// Adds fields that are not there yet.
///
/// # Errors
/// A field that is there, but for whether it is made.
pub(crate) fn merge_fields(own: &mut Vec<Field>, other: &[Field]) -> Result<(), Conflict> {
    for field in other {
        let is_same = |own: &&Field| own.of.fits(&field.of) && own.path == field.path;
        match own.iter().find(is_same) {
            Some(own) if own.create != field.create => return Err(Conflict(field.path.clone())),
            Some(_) => {}
            None => own.push(field.clone()),
        }
    }
    Ok(())
}

fn type_of(node: &Node) -> Type {
    let text = |key: &str| node.get(key).and_then(Node::as_str).unwrap_or_default();
    Type {
        group: text("group").into(),
        version: text("version").into(),
        kind: text("kind").into(),
    }
}

/// One field specification.
pub(crate) fn field(
    node: &Node,
    failures: &mut Vec<Failure>,
    fail: &dyn Fn(Mark, String) -> Failure,
) -> Option<Field> {
    const KNOWN: [&str; 5] = ["group", "version", "kind", "path", "create"];
    for entry in node.entries() {
        let fits = match entry.key.as_str() {
            "create" => entry.node.as_bool().is_some(),
            key if KNOWN.contains(&key) => entry.node.as_str().is_some(),
            key => {
                let message = format!("unknown field {key:?} in a field specification");
                failures.push(fail(entry.key_mark, message));
                continue;
            }
        };
        if !fits && !matches!(entry.node.value, Value::Null) {
            let wanted = if entry.key == "create" {
                "true or false"
            } else {
                "a text"
            };
            failures.push(fail(entry.node.mark, format!("{} is {wanted}", entry.key)));
        }
    }
    let path = node.get("path").and_then(Node::as_str)?;
    let create = node
        .get("create")
        .and_then(Node::as_bool)
        .unwrap_or_default();
    Some(Field::new(type_of(node), path, create))
}

/// What is made where a field is absent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// Nothing, whatever the field says.
    Nothing,
    /// A text, to be set.
    Scalar,
    /// An object.
    Object,
}

/// Why a path does not fit an object.
pub(crate) struct Misfit {
    pub(crate) mark: Mark,
    pub(crate) message: String,
}

/// Calls `set` with every value that a field names in an object of its type.
///
/// # Errors
/// The path leads through a single value; and those of `set`.
pub(crate) fn visit(
    node: &mut Node,
    field: &Field,
    make: Make,
    mark: Mark,
    set: &mut dyn FnMut(&mut Node) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    Visit {
        field,
        make: if field.create { make } else { Make::Nothing },
        mark,
        set,
    }
    .visit(node, &field.steps)
}

struct Visit<'v> {
    field: &'v Field,
    make: Make,
    mark: Mark,
    set: &'v mut dyn FnMut(&mut Node) -> Result<(), Misfit>,
}

impl Visit<'_> {
    fn visit(&mut self, node: &mut Node, steps: &[Step]) -> Result<(), Misfit> {
        let Some((step, rest)) = steps.split_first() else {
            return (self.set)(node);
        };
        match &mut node.value {
            Value::Null => Ok(()),
            Value::Array(items) => items
                .iter_mut()
                .try_for_each(|item| self.visit(item, steps)),
            Value::Object(map) => {
                let made = if step.is_list || self.make == Make::Nothing {
                    None
                } else if rest.is_empty() && self.make == Make::Scalar {
                    Some(Value::String(Str::default()))
                } else {
                    Some(Value::Object(stagegate_core::Map::new()))
                };
                match map.get_mut(&step.name) {
                    Some(below) => {
                        if matches!(below.value, Value::Null) {
                            if let Some(made) = made {
                                below.value = made;
                            } else if step.is_list {
                                below.value = Value::Array(Vec::new());
                            }
                        }
                        self.visit(below, rest)
                    }
                    None => {
                        let Some(made) = made else { return Ok(()) };
                        map.insert(entry(&step.name, self.mark, made));
                        match map.get_mut(&step.name) {
                            Some(below) => self.visit(below, rest),
                            None => Ok(()),
                        }
                    }
                }
            }
            _ => Err(Misfit {
                mark: node.mark,
                message: format!(
                    "kustomize looks for {} in here, and this is a single value",
                    self.field.path
                ),
            }),
        }
    }
}
