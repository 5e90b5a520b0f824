//! Our own form: a package under `stagegate.`, metadata, and `violation`.

use std::borrow::Cow;
use std::sync::Arc;

use stagegate_core::{
    Context, Control, Enforcement, KindPattern, Matches, Meta, Node, Parameters, Policy,
    PolicyError, Scope, Severity, Stage, Tier, Value, Violation,
};

use crate::answer;
use crate::convert::{Kinds, Request, object_of, view};
use crate::evaluate::Program;
use crate::metadata::Metadata;
use crate::text::{INDEX, INVENTORY};
use crate::{LoadError, did_you_mean};

/// A policy in our own form.
pub(crate) struct OwnPolicy {
    pub(crate) meta: Meta,
    /// `data.stagegate.replicas.violation`
    pub(crate) rule: String,
    pub(crate) program: Arc<Program>,
    pub(crate) sees: Sees,
}

/// Which neighbours a program looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sees {
    pub(crate) inventory: bool,
    /// It looks them up.
    pub(crate) index: Option<Kinds>,
}

impl Sees {
    pub(crate) fn of(program: &Program) -> Sees {
        let texts = || program.modules().iter().map(|module| &module.text);
        Sees {
            inventory: texts().any(|text| text.sees_inventory),
            index: texts()
                .any(|text| text.sees_index)
                .then(|| Kinds::looked_up(program.modules())),
        }
    }

    /// The kinds of them, as far as they are known: a policy may look at all there are.
    pub(crate) fn neighbours(&self) -> Vec<KindPattern> {
        let of_name = |kind: &String| KindPattern {
            kind: Some(kind.clone()),
            ..KindPattern::default()
        };
        match &self.index {
            _ if self.inventory => vec![KindPattern::default()],
            Some(Kinds::All) => vec![KindPattern::default()],
            Some(Kinds::Named(kinds)) => kinds.iter().map(of_name).collect(),
            None => Vec::new(),
        }
    }

    pub(crate) fn any(&self) -> bool {
        self.inventory || self.index.is_some()
    }

    /// The neighbours, as fields of the input.
    pub(crate) fn fields(
        &self,
        cx: &Context<'_>,
        subject: &stagegate_core::Object,
    ) -> Vec<(&'static str, regorus::Value)> {
        let mut fields = Vec::new();
        if self.inventory {
            fields.push((INVENTORY, view(cx, subject, &Kinds::All).inventory()));
        }
        if let Some(kinds) = &self.index {
            fields.push((INDEX, view(cx, subject, kinds).index()));
        }
        fields
    }
}

impl Policy for OwnPolicy {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let (Some(request), Some(object)) = (Request::of(cx), cx.object()) else {
            return Ok(Vec::new());
        };
        let mut fields = vec![
            ("review", request.review.clone()),
            ("parameters", answer::parameters(cx)),
            ("stage", stage(cx.world.stage)),
        ];
        fields.extend(self.sees.fields(cx, object));
        answer::of_rule(cx, object, &self.program, &self.rule, fields)
    }

    fn prepare(&self) {
        self.program.prepare();
    }

    fn neighbours(&self, _: &Node) -> Vec<KindPattern> {
        self.sees.neighbours()
    }
}

/// The stage as Rego sees it: its name, and whether it is production.
fn stage(stage: &Stage) -> regorus::Value {
    let tier = match stage.tier {
        Tier::Production => "production",
        _ => "other",
    };
    object_of([
        ("name", regorus::Value::from(stage.name.as_str())),
        ("tier", regorus::Value::from(tier)),
    ])
}

/// A policy's metadata out of its block.
///
/// `category` is the name of its folder.
pub(crate) fn meta(
    id: &str,
    category: &str,
    metadata: &Metadata,
    errors: &mut Vec<LoadError>,
) -> Meta {
    let reader = Reader {
        errors,
        compiles_schemas: true,
    };
    read(id, category, metadata, reader)
}

/// The same for a policy that a test has read: what could be wrong with it is not looked for.
pub(crate) fn meta_as_written(id: &str, category: &str, metadata: &Metadata) -> Meta {
    let reader = Reader {
        errors: &mut Vec::new(),
        compiles_schemas: false,
    };
    read(id, category, metadata, reader)
}

fn read(id: &str, category: &str, metadata: &Metadata, mut reader: Reader<'_>) -> Meta {
    let mut meta = Meta {
        id: Cow::Owned(id.to_owned()),
        category: Cow::Owned(category.to_owned()),
        enforcement: Enforcement::Deny,
        manual: Cow::Owned(manual(metadata.text("description").unwrap_or_default())),
        ..Meta::default()
    };
    match metadata.text("title") {
        Some(title) => meta.title = Cow::Owned(title.trim().to_owned()),
        None => reader.wrong(
            &metadata.root,
            "the METADATA block has no `title`",
            Some("one line that says what must be true"),
        ),
    }
    let custom = metadata.root.get("custom");
    for entry in custom.map_or(&[][..], Node::entries) {
        let node = &entry.node;
        match entry.key.as_str() {
            "severity" => reader.one_of(node, &entry.key, &Severity::ALL, &mut meta.severity),
            "enforcement" => reader.enforcement(node, &entry.key, &mut meta.enforcement),
            "production" => reader.optional(node, &entry.key, &mut meta.production),
            "strict" => reader.optional(node, &entry.key, &mut meta.strict),
            "admission" => reader.optional(node, &entry.key, &mut meta.admission),
            "scope" => {
                reader.one_of(
                    node,
                    &entry.key,
                    &[Scope::Object, Scope::Stage],
                    &mut meta.scope,
                );
            }
            "matches" => meta.matches = reader.matches(node),
            "parameters" => meta.parameters = reader.parameters(node),
            "controls" => meta.controls = reader.controls(node),
            "help" => meta.help = Cow::Owned(reader.text(node, &entry.key)),
            "id" => {}
            other => {
                let help = did_you_mean(other, KEYS.iter().copied());
                reader.errors.push(LoadError {
                    mark: entry.key_mark,
                    message: format!("METADATA's `custom` has no key `{other}`"),
                    help,
                });
            }
        }
    }
    meta
}

const KEYS: &[&str] = &[
    "admission",
    "controls",
    "enforcement",
    "help",
    "id",
    "matches",
    "parameters",
    "production",
    "scope",
    "severity",
    "strict",
];

/// The manual as native policies have it: with a line's end behind every line.
pub(crate) fn manual(description: &str) -> String {
    description.trim_end().to_owned() + "\n"
}

/// Reads values of the block, and says what is wrong with them.
struct Reader<'e> {
    errors: &'e mut Vec<LoadError>,
    /// Compiling a schema to see whether it is one takes longer than all the rest.
    compiles_schemas: bool,
}

impl Reader<'_> {
    fn wrong(&mut self, node: &Node, message: &str, help: Option<&str>) {
        self.errors.push(LoadError {
            mark: node.mark,
            message: message.to_owned(),
            help: help.map(str::to_owned),
        });
    }

    fn text(&mut self, node: &Node, key: &str) -> String {
        match node.as_str() {
            Some(text) => text.to_owned(),
            None => {
                self.wrong(node, &format!("`{key}` must be a text"), None);
                String::new()
            }
        }
    }

    fn one_of<T: Copy + std::fmt::Display>(
        &mut self,
        node: &Node,
        key: &str,
        all: &[T],
        target: &mut T,
    ) {
        let names: Vec<String> = all.iter().map(T::to_string).collect();
        let written = node.as_str();
        match all
            .iter()
            .zip(&names)
            .find(|(_, name)| written == Some(name.as_str()))
        {
            Some((value, _)) => *target = *value,
            None => {
                let help = format!("one of {}", names.join(", "));
                self.wrong(node, &format!("`{key}` has no such value"), Some(&help));
            }
        }
    }

    fn enforcement(&mut self, node: &Node, key: &str, target: &mut Enforcement) {
        // A plain `off` is false to some readers of YAML, and not to us: it is what is meant.
        if matches!(node.value, Value::Bool(false)) {
            *target = Enforcement::Off;
            return;
        }
        self.one_of(node, key, &Enforcement::ALL, target);
    }

    fn optional(&mut self, node: &Node, key: &str, target: &mut Option<Enforcement>) {
        let mut enforcement = Enforcement::Off;
        self.enforcement(node, key, &mut enforcement);
        *target = Some(enforcement);
    }

    fn matches(&mut self, node: &Node) -> Matches {
        let mut patterns = Vec::new();
        for item in node.items() {
            match item.as_str() {
                Some("Workload") => {
                    let kinds = stagegate_core::WORKLOAD_KINDS.iter();
                    patterns.extend(kinds.map(KindPattern::of));
                }
                Some(text) => match pattern(text) {
                    Some(pattern) => patterns.push(pattern),
                    None => self.wrong(item, "a kind is written group/version/Kind", Some(KINDS)),
                },
                None => self.wrong(item, "a kind must be a text", Some(KINDS)),
            }
        }
        if patterns.is_empty() {
            self.wrong(node, "`matches` must be a list of kinds", Some(KINDS));
        }
        Matches::Patterns(patterns)
    }

    fn parameters(&mut self, node: &Node) -> Parameters {
        // A whole schema, or its properties.
        let is_schema = node.get("type").and_then(Node::as_str) == Some("object")
            && node.get("properties").is_some();
        let properties = match node.get("properties") {
            Some(properties) if is_schema => properties,
            _ => node,
        };
        let Ok(serde_json::Value::Object(parameters)) = serde_json::to_value(properties) else {
            self.wrong(
                node,
                "`parameters` must be the properties of a JSON Schema",
                None,
            );
            return Parameters::new();
        };
        let compiles = self.compiles_schemas;
        for (name, schema) in parameters.iter().filter(|_| compiles) {
            let at = properties.get(name).unwrap_or(properties);
            if let Err(error) = jsonschema::validator_for(schema) {
                let message = format!("the schema of the parameter {name:?} is none: {error}");
                self.wrong(at, &message, None);
            } else if let Some(default) = schema.get("default")
                && let Err(error) = jsonschema::validate(schema, default)
            {
                let message =
                    format!("the default of the parameter {name:?} does not fit: {error}");
                self.wrong(at, &message, None);
            }
        }
        parameters
    }

    fn controls(&mut self, node: &Node) -> Vec<Control> {
        let mut controls = Vec::new();
        for item in node.items() {
            let text = |key: &str| item.get(key).and_then(Node::as_str).map(str::to_owned);
            match (text("source"), text("id")) {
                (Some(source), Some(id)) => controls.push(Control {
                    source: source.into(),
                    id: id.into(),
                }),
                _ => self.wrong(item, "a control is written {source: …, id: …}", None),
            }
        }
        controls
    }
}

const KINDS: &str = "for example apps/v1/Deployment, /v1/Pod, */*/Ingress, or Workload for all that \
                     run containers";

/// `group/version/Kind`, each of which may be `*`.
fn pattern(text: &str) -> Option<KindPattern> {
    let mut parts = text.split('/');
    let (group, version, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let part = |text: &str| (text != "*").then(|| text.to_owned());
    let is_whole = parts.next().is_none() && !version.is_empty() && !kind.is_empty();
    is_whole.then(|| KindPattern {
        group: part(group),
        version: part(version),
        kind: part(kind),
    })
}
