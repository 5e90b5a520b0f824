//! Gatekeeper's form: a ConstraintTemplate holds the Rego, a Constraint says where it holds.
//!
//! Source: the Gatekeeper documentation, "How to use Gatekeeper" and "Constraint templates".

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use stagegate_core::{
    Context, Enforcement, FileId, KindPattern, Labels, Mark, Matches, Meta, Node, Object,
    Parameters, Policy, PolicyError, Scope, Violation, selects,
};
use stagegate_manifest::Source;

use crate::answer;
use crate::convert::{Request, namespace_of};
use crate::evaluate::Program;
use crate::folder::brought;
use crate::module::{Dialect, Module, Place};
use crate::own::{self, Sees};
use crate::text::Purpose;
use crate::{LoadError, Unsupported, check, did_you_mean};

/// The API group of constraints.
pub(crate) const CONSTRAINTS: &str = "constraints.gatekeeper.sh";
/// The API group of templates.
pub(crate) const TEMPLATES: &str = "templates.gatekeeper.sh";

/// A document of a YAML file.
pub(crate) struct Document {
    pub(crate) file: FileId,
    pub(crate) source: Arc<Source>,
    pub(crate) node: Node,
}

impl Document {
    pub(crate) fn text(&self, path: &[&str]) -> Option<&str> {
        self.node.path(path)?.as_str()
    }

    fn error(&self, node: Option<&Node>, message: impl Into<String>) -> LoadError {
        LoadError {
            mark: node.unwrap_or(&self.node).mark,
            message: message.into(),
            help: None,
        }
    }
}

/// A template, compiled.
pub(crate) struct Template {
    /// The kind of its constraints.
    pub(crate) kind: String,
    pub(crate) mark: Mark,
    meta: Meta,
    engine: Engine,
    /// The schema of its parameters.
    schema: Option<serde_json::Value>,
}

enum Engine {
    Rego {
        program: Arc<Program>,
        /// `data.k8srequiredlabels.violation`
        rule: String,
        sees: Sees,
    },
    /// What it is written in, where we cannot evaluate that.
    Unsupported(String),
}

/// A constraint of a template.
pub(crate) struct Constraint {
    meta: Meta,
    program: Arc<Program>,
    rule: String,
    sees: Sees,
    criteria: Criteria,
}

/// A constraint of a template that we cannot evaluate.
struct Unevaluated(Meta);

impl Policy for Unevaluated {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn review(&self, _: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        Ok(Vec::new())
    }
}

/// Where a constraint holds, besides its kinds.
#[derive(Default)]
struct Criteria {
    kinds: Vec<KindPattern>,
    cluster_scoped: Option<bool>,
    namespaces: Vec<String>,
    excluded_namespaces: Vec<String>,
    labels: Option<Node>,
    namespace_labels: Option<Node>,
    name: Option<String>,
}

impl Template {
    /// Compiles a template.
    pub(crate) fn read(document: &Document, errors: &mut Vec<LoadError>) -> Option<Template> {
        let names = ["spec", "crd", "spec", "names", "kind"];
        let Some(kind) = document.text(&names) else {
            let spec = document.node.get("spec");
            errors.push(document.error(
                spec,
                "the template does not say what its constraints are \
                called: spec.crd.spec.names.kind",
            ));
            return None;
        };
        let annotation = |key: &str| document.text(&["metadata", "annotations", key]);
        let title = annotation("metadata.gatekeeper.sh/title").unwrap_or(kind);
        let meta = Meta {
            title: Cow::Owned(title.to_owned()),
            category: Cow::Borrowed("gatekeeper"),
            manual: Cow::Owned(own::manual(annotation("description").unwrap_or_default())),
            ..Meta::default()
        };
        let schema = ["spec", "crd", "spec", "validation", "openAPIV3Schema"];
        let schema = document
            .node
            .path(&schema)
            .and_then(|s| serde_json::to_value(s).ok());
        let targets = document.node.path(&["spec", "targets"]);
        let target = targets.map_or(&[][..], Node::items).first();
        let Some(target) = target else {
            errors.push(document.error(targets, "the template has no target: spec.targets"));
            return None;
        };
        let engine = Self::engine(document, kind, target, errors)?;
        Some(Template {
            kind: kind.to_owned(),
            mark: document
                .node
                .path(&names)
                .map_or(document.node.mark, |n| n.mark),
            meta,
            engine,
            schema,
        })
    }

    fn engine(
        document: &Document,
        kind: &str,
        target: &Node,
        errors: &mut Vec<LoadError>,
    ) -> Option<Engine> {
        let code = target.get("code").map_or(&[][..], Node::items);
        let is_rego = |entry: &&Node| entry.get("engine").and_then(Node::as_str) == Some("Rego");
        let source = match code.iter().find(is_rego) {
            Some(entry) => entry.get("source"),
            None if target.get("rego").is_some() => Some(target),
            None => None,
        };
        let Some(source) = source else {
            let other = code.iter().find_map(|entry| entry.get("engine")?.as_str());
            return match other {
                Some("K8sNativeValidation") => Some(Engine::Unsupported("CEL".to_owned())),
                Some(other) => Some(Engine::Unsupported(other.to_owned())),
                None => {
                    errors.push(document.error(Some(target), "the target holds no Rego"));
                    None
                }
            };
        };
        let first = match source.get("version").and_then(Node::as_str) {
            Some("v1") => Dialect::V1,
            _ => Dialect::V0,
        };
        let rego = source.get("rego")?;
        let libs = source.get("libs").map_or(&[][..], Node::items);
        let mut modules: Vec<Arc<Module>> = Vec::new();
        for (i, text) in std::iter::once(rego).chain(libs).enumerate() {
            let place = Place::of_text(document.file, &document.source, text.mark);
            let name = format!("{}#{kind}.{i}", document.source.path);
            let original = text.as_str().unwrap_or_default().to_owned();
            match Module::parse(name, place, original, Purpose::Policy, first) {
                Ok(module) => modules.push(Arc::new(module)),
                Err(error) => errors.push(error),
            }
        }
        if modules.len() != libs.len() + 1 {
            return None;
        }
        let own = Arc::clone(&modules[0]);
        if !own.has_rule("violation") {
            let message = "the template has no rule `violation`";
            errors.push(document.error(Some(rego), message));
            return None;
        }
        let refs: Vec<&Module> = modules.iter().map(AsRef::as_ref).collect();
        let found = check::check(&refs);
        if !found.is_empty() {
            errors.extend(found);
            return None;
        }
        let program = Program::new(modules, regorus::Value::Undefined);
        if let Err(error) = program.compile() {
            errors.push(error);
            return None;
        }
        let sees = Sees::of(&program);
        Some(Engine::Rego {
            rule: format!("{}.violation", own.package_path()),
            program: Arc::new(program),
            sees,
        })
    }
}

/// Reads a constraint.
pub(crate) fn constraint(
    document: &Document,
    templates: &BTreeMap<String, Template>,
    errors: &mut Vec<LoadError>,
    unsupported: &mut Vec<Unsupported>,
) -> Option<Arc<dyn Policy>> {
    let kind = document.text(&["kind"]).unwrap_or_default();
    let Some(template) = templates.get(kind) else {
        errors.push(LoadError {
            mark: document.node.get("kind").unwrap_or(&document.node).mark,
            message: format!("there is no ConstraintTemplate whose constraints are of kind {kind}"),
            help: did_you_mean(kind, templates.keys().map(String::as_str)),
        });
        return None;
    };
    let Some(name) = document.text(&["metadata", "name"]) else {
        errors.push(document.error(None, "the constraint has no name"));
        return None;
    };
    let spec = document.node.get("spec");
    let (enforcement, admission) = enforcement(spec, document, errors);
    let given = spec.and_then(|spec| spec.get("parameters"));
    let parameters = parameters(template, given, document, errors);
    let criteria = Criteria::read(spec.and_then(|s| s.get("match")), document, errors)?;
    let sees = match &template.engine {
        Engine::Rego { sees, .. } => sees.clone(),
        Engine::Unsupported(_) => Sees::default(),
    };
    let mut meta = Meta {
        id: Cow::Owned(name.to_owned()),
        enforcement,
        admission,
        parameters,
        scope: if sees.any() {
            Scope::Stage
        } else {
            Scope::Object
        },
        matches: match criteria.kinds.as_slice() {
            [] => Matches::All,
            kinds => Matches::Patterns(kinds.to_vec()),
        },
        ..template.meta.clone()
    };
    let text = serde_json::to_vec(&document.node).unwrap_or_default();
    let modules = match &template.engine {
        Engine::Rego { program, .. } => program.modules(),
        Engine::Unsupported(_) => &[],
    };
    brought(&mut meta, modules, &text);
    match &template.engine {
        Engine::Rego { program, rule, .. } => Some(Arc::new(Constraint {
            meta,
            program: Arc::clone(program),
            rule: rule.clone(),
            sees,
            criteria,
        })),
        Engine::Unsupported(language) => {
            unsupported.push(Unsupported {
                policy: name.to_owned(),
                mark: template.mark,
                message: format!(
                    "the ConstraintTemplate {kind} is written in {language}, which is not \
                     supported: the constraint {name} is not judged"
                ),
            });
            Some(Arc::new(Unevaluated(Meta {
                matches: Matches::None,
                ..meta
            })))
        }
    }
}

/// What happens, and what happens at admission where that is less.
fn enforcement(
    spec: Option<&Node>,
    document: &Document,
    errors: &mut Vec<LoadError>,
) -> (Enforcement, Option<Enforcement>) {
    let mut action = |node: &Node| match node.as_str() {
        Some("deny") => Some(Enforcement::Deny),
        Some("warn") => Some(Enforcement::Warn),
        Some("dryrun") => Some(Enforcement::Audit),
        Some("scoped") => None,
        _ => {
            let message = "the action must be deny, warn, dryrun or scoped";
            errors.push(document.error(Some(node), message));
            None
        }
    };
    let one = spec.and_then(|spec| spec.get("enforcementAction"));
    let scoped = spec.and_then(|spec| spec.get("scopedEnforcementActions"));
    let is_scoped = one.and_then(Node::as_str) == Some("scoped");
    let Some(scoped) = scoped.filter(|_| is_scoped) else {
        let enforcement = one.map_or(Some(Enforcement::Deny), &mut action);
        return (enforcement.unwrap_or(Enforcement::Deny), None);
    };
    // A repository is judged where gator judges, requests where the webhook does.
    let mut at = |points: &[&str]| {
        let actions = scoped.items().iter().filter(|entry| {
            let named = entry.get("enforcementPoints").map_or(&[][..], Node::items);
            named.iter().any(|point| {
                let name = point.get("name").and_then(Node::as_str);
                name.is_some_and(|name| name == "*" || points.contains(&name))
            })
        });
        let enforcements = actions.filter_map(|entry| action(entry.get("action")?));
        enforcements.max().unwrap_or(Enforcement::Off)
    };
    let offline = at(&["gator.gatekeeper.sh"]);
    let admission = at(&["validation.gatekeeper.sh", "vap.k8s.io"]);
    let audited = at(&["audit.gatekeeper.sh"]).min(Enforcement::Audit);
    // What only the webhook enforces is what the repository is to be warned of in time.
    let offline = offline.max(admission).max(audited);
    (offline, (admission < offline).then_some(admission))
}

/// The parameters: the template's schema with the constraint's values as defaults, so that the
/// configuration can change them.
fn parameters(
    template: &Template,
    given: Option<&Node>,
    document: &Document,
    errors: &mut Vec<LoadError>,
) -> Parameters {
    let mut value = given
        .and_then(|given| serde_json::to_value(given).ok())
        .unwrap_or_else(|| serde_json::json!({}));
    let schema = template
        .schema
        .clone()
        .unwrap_or_else(|| serde_json::json!({}));
    fill_in(&schema, &mut value);
    match jsonschema::validator_for(&schema) {
        Ok(validator) => errors.extend(validator.iter_errors(&value).map(|error| {
            let pointer = stagegate_core::Pointer::parse(error.instance_path().as_str());
            let node = given
                .zip(pointer)
                .map(|(node, pointer)| node.nearest(&pointer));
            let node = node.or(document.node.get("spec"));
            document.error(
                node,
                format!("the parameters do not fit the template: {error}"),
            )
        })),
        Err(error) => errors.push(LoadError {
            mark: template.mark,
            message: format!("the schema of the parameters is none: {error}"),
            help: None,
        }),
    }
    let mut parameters = match schema.get("properties") {
        Some(serde_json::Value::Object(properties)) => properties.clone(),
        _ => Parameters::new(),
    };
    if let serde_json::Value::Object(values) = value {
        for (name, value) in values {
            let schema = parameters
                .entry(name)
                .or_insert_with(|| serde_json::json!({}));
            if let serde_json::Value::Object(schema) = schema {
                schema.insert("default".to_owned(), value);
            }
        }
    }
    parameters
}

/// Fills the defaults of a schema in, as the API server does.
fn fill_in(schema: &serde_json::Value, value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            let properties = schema.get("properties").and_then(|p| p.as_object());
            for (name, property) in properties.into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    members
                        .entry(name.clone())
                        .or_insert_with(|| default.clone());
                }
                if let Some(member) = members.get_mut(name) {
                    fill_in(property, member);
                }
            }
        }
        serde_json::Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill_in(schema, item));
            }
        }
        _ => {}
    }
}

impl Criteria {
    fn read(
        node: Option<&Node>,
        document: &Document,
        errors: &mut Vec<LoadError>,
    ) -> Option<Criteria> {
        let Some(node) = node else {
            return Some(Criteria::default());
        };
        let texts = |node: Option<&Node>| -> Vec<String> {
            let items = node.map_or(&[][..], Node::items).iter();
            items.filter_map(Node::as_str).map(str::to_owned).collect()
        };
        let known = [
            "excludedNamespaces",
            "kinds",
            "labelSelector",
            "name",
            "namespaceSelector",
            "namespaces",
            "scope",
            "source",
        ];
        let before = errors.len();
        for entry in node.entries() {
            if !known.contains(&entry.key.as_str()) {
                errors.push(LoadError {
                    mark: entry.key_mark,
                    message: format!("`match` has no key `{}`", entry.key),
                    help: did_you_mean(&entry.key, known.into_iter()),
                });
            }
        }
        let mut kinds = Vec::new();
        for entry in node.get("kinds").map_or(&[][..], Node::items) {
            let any = |list: Vec<String>| match list.as_slice() {
                [] => vec![None],
                list if list.iter().any(|item| item == "*") => vec![None],
                list => list.iter().cloned().map(Some).collect(),
            };
            let groups: Vec<Option<String>> = any(texts(entry.get("apiGroups")));
            for kind in any(texts(entry.get("kinds"))) {
                kinds.extend(groups.iter().map(|group| KindPattern {
                    group: group.clone(),
                    version: None,
                    kind: kind.clone(),
                }));
            }
        }
        let source = node.get("source");
        if source.and_then(Node::as_str) == Some("Generated") {
            // Nothing is expanded here, so that there is nothing for it to hold for.
            let message = "`source: Generated` asks for objects that Gatekeeper's expansion makes, \
                           and there are none here: switch the constraint off in the configuration";
            errors.push(document.error(source, message));
        }
        let scope = node.get("scope");
        let cluster_scoped = match scope.and_then(Node::as_str) {
            Some("Cluster") => Some(true),
            Some("Namespaced") => Some(false),
            Some("*") | None => None,
            Some(_) => {
                let message = "`scope` must be Cluster, Namespaced or \"*\"";
                errors.push(document.error(scope, message));
                None
            }
        };
        (errors.len() == before).then(|| Criteria {
            kinds,
            cluster_scoped,
            namespaces: texts(node.get("namespaces")),
            excluded_namespaces: texts(node.get("excludedNamespaces")),
            labels: node.get("labelSelector").cloned(),
            namespace_labels: node.get("namespaceSelector").cloned(),
            name: node
                .get("name")
                .and_then(Node::as_str)
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        })
    }

    /// Whether the constraint holds for an object, whatever its kind.
    fn hold(&self, cx: &Context<'_>, object: &Object) -> bool {
        let reference = &object.reference;
        let is_namespace = reference.kind == "Namespace" && reference.group().is_empty();
        let namespace = if is_namespace {
            reference.name.as_str()
        } else {
            namespace_of(object)
        };
        let is_in_none = namespace.is_empty();
        let is_in = |globs: &[String]| globs.iter().any(|glob| fits(glob, namespace));
        self.cluster_scoped
            .is_none_or(|wanted| wanted == (is_namespace || is_in_none))
            && (self.namespaces.is_empty() || is_in_none || is_in(&self.namespaces))
            && (is_in_none || !is_in(&self.excluded_namespaces))
            && self
                .name
                .as_ref()
                .is_none_or(|glob| fits(glob, &reference.name))
            && self
                .labels
                .as_ref()
                .is_none_or(|selector| selects(Some(selector), &object.labels()))
            && self.namespace_labels.as_ref().is_none_or(|selector| {
                let labels = if is_namespace {
                    object.labels()
                } else if is_in_none {
                    return true;
                } else {
                    let found = cx.named("", "Namespace", namespace).next();
                    found.map_or_else(Labels::default, |namespace| namespace.labels())
                };
                let labels = labels.implying("kubernetes.io/metadata.name", namespace);
                selects(Some(selector), &labels)
            })
    }
}

/// Gatekeeper's globs: `*` at the beginning, at the end, or at both.
fn fits(glob: &str, name: &str) -> bool {
    match (glob.strip_prefix('*'), glob.strip_suffix('*')) {
        (Some(_), Some("")) => true,
        (Some(_), Some(_)) => name.contains(glob.trim_matches('*')),
        (Some(suffix), None) => name.ends_with(suffix),
        (None, Some(prefix)) => name.starts_with(prefix),
        (None, None) => glob == name,
    }
}

impl Policy for Constraint {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let (Some(request), Some(object)) = (Request::of(cx), cx.object()) else {
            return Ok(Vec::new());
        };
        if !self.criteria.hold(cx, object) {
            return Ok(Vec::new());
        }
        let mut fields = vec![
            ("review", request.review.clone()),
            ("parameters", answer::parameters(cx)),
        ];
        fields.extend(self.sees.fields(cx, object));
        answer::of_rule(cx, object, &self.program, &self.rule, fields)
    }

    fn prepare(&self) {
        self.program.prepare();
    }

    fn neighbours(&self, _: &Node) -> Vec<KindPattern> {
        let mut kinds = self.sees.neighbours();
        let namespace = KindPattern::named("", "Namespace");
        kinds.extend(self.criteria.namespace_labels.as_ref().map(|_| namespace));
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn globs_are_at_the_ends() {
        for (glob, name, is) in [
            ("kube-*", "kube-system", true),
            ("*-system", "kube-system", true),
            ("*e-s*", "kube-system", true),
            ("*", "x", true),
            ("kube", "kube-system", false),
            ("kube-*", "my-kube-system", false),
        ] {
            assert_eq!(fits(glob, name), is, "{glob} {name}");
        }
    }
}
