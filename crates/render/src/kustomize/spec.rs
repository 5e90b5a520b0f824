//! A kustomization file with the types of its fields, read as kustomize reads it.
//!
//! kustomize takes the file as YAML 1.1 (`namespace: n` is a boolean), knows the names of fields in
//! any case, and refuses what it does not know. Source: the kustomization reference of
//! kubectl.docs.kubernetes.io, `api/types` of kustomize 5.5.0.

use std::sync::{Arc, OnceLock};

use stagegate_core::{FileId, Map, Mark, Node, Number, Str, Value};
use stagegate_manifest::{Format, Problem, ProblemKind, Profile, Source, load};

use super::fields::{self, Field, split_path};
use super::id::Type;
use super::patches::ParsedPatch;
use super::select::Target;
use crate::Failure;

/// A text and its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) value: Str,
    pub(crate) mark: Mark,
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        &self.value
    }
}

/// Texts by key: the key, its value.
pub(crate) type Pairs = Vec<(Text, Text)>;

/// A kustomization file.
#[derive(Default)]
pub(crate) struct Spec {
    pub(crate) file: FileId,
    /// Relative to the tree's root.
    pub(crate) path: String,
    pub(crate) mark: Mark,
    pub(crate) is_component: bool,
    pub(crate) resources: Vec<Text>,
    pub(crate) components: Vec<Text>,
    pub(crate) crds: Vec<Text>,
    pub(crate) configurations: Vec<Text>,
    pub(crate) name_prefix: Option<Text>,
    pub(crate) name_suffix: Option<Text>,
    pub(crate) namespace: Option<Text>,
    pub(crate) labels: Vec<Label>,
    pub(crate) common_labels: Pairs,
    pub(crate) common_annotations: Pairs,
    /// `patchesStrategicMerge`, `patches` and `patchesJson6902`, each in its order.
    pub(crate) merges: Vec<Patch>,
    pub(crate) patches: Vec<Patch>,
    pub(crate) json_patches: Vec<Patch>,
    pub(crate) images: Vec<Image>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) replacements: Vec<ReplacementField>,
    pub(crate) vars: Vec<Var>,
    pub(crate) sort: Option<SortOptions>,
    pub(crate) config_maps: Vec<Generator>,
    pub(crate) secrets: Vec<Generator>,
    pub(crate) generator_options: Option<GeneratorOptions>,
    pub(crate) build_metadata: Vec<Text>,
    /// What only the program itself does: the field's place and name.
    pub(crate) unsupported: Vec<(Mark, &'static str)>,
    /// Charts to inflate, which takes helm.
    pub(crate) helm_charts: Option<Mark>,
}

/// An entry of `labels`.
#[derive(Default)]
pub(crate) struct Label {
    pub(crate) pairs: Pairs,
    pub(crate) include_selectors: bool,
    pub(crate) include_templates: bool,
    pub(crate) fields: Vec<Field>,
}

/// A patch of any form.
#[derive(Default)]
pub(crate) struct Patch {
    pub(crate) mark: Mark,
    pub(crate) path: Option<Text>,
    /// The text in the kustomization.
    pub(crate) inline: Option<Node>,
    /// White space around the text in the kustomization does not count.
    pub(crate) is_trimmed: bool,
    pub(crate) target: Option<Arc<Target>>,
    pub(crate) allow_name_change: bool,
    pub(crate) allow_kind_change: bool,
    /// Read once, however often a component is applied.
    pub(crate) parsed: OnceLock<Result<ParsedPatch, Vec<Failure>>>,
}

/// An entry of `images`.
#[derive(Default)]
pub(crate) struct Image {
    pub(crate) name: Str,
    pub(crate) new_name: Option<Text>,
    pub(crate) new_tag: Option<Text>,
    pub(crate) tag_suffix: Option<Text>,
    pub(crate) digest: Option<Text>,
}

/// An entry of `replicas`.
#[derive(Default)]
pub(crate) struct Replica {
    pub(crate) name: Text,
    pub(crate) count: i64,
    pub(crate) mark: Mark,
}

/// An entry of `replacements`.
pub(crate) enum ReplacementField {
    Here(Box<Replacement>),
    Path(Text),
}

/// A value that is copied.
#[derive(Default)]
pub(crate) struct Replacement {
    pub(crate) mark: Mark,
    pub(crate) source: Option<ReplacementSource>,
    pub(crate) targets: Option<Vec<ReplacementTarget>>,
}

/// Where the value is taken from.
#[derive(Default)]
pub(crate) struct ReplacementSource {
    pub(crate) mark: Mark,
    pub(crate) select: ExactTarget,
    pub(crate) field_path: Text,
    pub(crate) options: Option<FieldOptions>,
}

/// Where it is put.
#[derive(Default)]
pub(crate) struct ReplacementTarget {
    pub(crate) mark: Mark,
    pub(crate) select: Option<ExactTarget>,
    pub(crate) reject: Vec<ExactTarget>,
    pub(crate) field_paths: Vec<Text>,
    pub(crate) options: Option<FieldOptions>,
}

/// Objects by type and name, no patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExactTarget {
    pub(crate) of: Type,
    pub(crate) name: Str,
    pub(crate) namespace: Str,
    pub(crate) label_selector: Text,
    pub(crate) annotation_selector: Text,
}

impl ExactTarget {
    /// Whether no type, name or namespace is asked for.
    pub(crate) fn names_nothing(&self) -> bool {
        self.of == Type::default() && self.name.is_empty() && self.namespace.is_empty()
    }
}

/// How a part of a value is copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldOptions {
    pub(crate) delimiter: Str,
    pub(crate) index: i64,
    pub(crate) create: bool,
}

/// A variable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Var {
    pub(crate) name: Text,
    pub(crate) of: Type,
    pub(crate) object: Str,
    pub(crate) namespace: Str,
    pub(crate) field_path: Str,
}

/// The order of the output.
pub(crate) struct SortOptions {
    pub(crate) order: Order,
    /// Kinds that come first and last.
    pub(crate) legacy: Option<(Vec<Str>, Vec<Str>)>,
}

/// How the output is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Legacy,
    Fifo,
}

/// What a generated object does to one of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behavior {
    #[default]
    Unspecified,
    Create,
    Replace,
    Merge,
}

/// What makes a ConfigMap or a Secret.
#[derive(Default)]
pub(crate) struct Generator {
    pub(crate) mark: Mark,
    pub(crate) name: Text,
    pub(crate) namespace: Option<Text>,
    pub(crate) behavior: Behavior,
    pub(crate) literals: Vec<Text>,
    pub(crate) files: Vec<Text>,
    pub(crate) envs: Vec<Text>,
    pub(crate) options: Option<GeneratorOptions>,
    /// Of a Secret.
    pub(crate) secret_type: Option<Text>,
}

/// `generatorOptions`, and a generator's own `options`.
#[derive(Clone, Debug, Default)]
pub(crate) struct GeneratorOptions {
    pub(crate) labels: Option<Pairs>,
    pub(crate) annotations: Option<Pairs>,
    pub(crate) disable_name_suffix_hash: bool,
    pub(crate) immutable: Option<Mark>,
}

impl GeneratorOptions {
    /// With what holds for all generators: a text of the generator's own wins, a switch does not.
    pub(crate) fn with(self, all: &GeneratorOptions) -> GeneratorOptions {
        GeneratorOptions {
            labels: join(self.labels, all.labels.as_ref()),
            annotations: join(self.annotations, all.annotations.as_ref()),
            disable_name_suffix_hash: self.disable_name_suffix_hash || all.disable_name_suffix_hash,
            immutable: self.immutable.or(all.immutable),
        }
    }
}

fn join(own: Option<Pairs>, all: Option<&Pairs>) -> Option<Pairs> {
    let Some(mut own) = own else {
        return all.cloned();
    };
    for (key, value) in all.into_iter().flatten() {
        if !own.iter().any(|(k, _)| k.value == key.value) {
            own.push((key.clone(), value.clone()));
        }
    }
    Some(own)
}

/// Names of the fields of a kustomization, as they are written.
const FIELDS: [&str; 34] = [
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

impl Spec {
    /// Reads a kustomization file.
    ///
    /// # Errors
    /// Everything for which kustomize would refuse it, each with its place.
    pub(crate) fn read(file: FileId, source: &Source) -> Result<Spec, Vec<Failure>> {
        let loaded = load(file, source, Format::Yaml, Profile::Apply);
        // The last of two equal keys counts for kustomize.
        let is_fatal = |p: &Problem| p.kind == ProblemKind::Unreadable;
        let fatal: Vec<Failure> = loaded
            .problems
            .iter()
            .filter(|p| is_fatal(p))
            .map(|p| Failure::new(&source.path, p.mark, &*p.message))
            .collect();
        if !fatal.is_empty() {
            return Err(fatal);
        }
        let beginning = Mark::new(file, 0, 0);
        let empty = |mark| {
            let failure = Failure::new(
                &source.path,
                mark,
                "the kustomization is empty; kustomize refuses it",
            );
            vec![failure.with_help("name its files under resources")]
        };
        let Some(root) = loaded.documents.first() else {
            return Err(empty(beginning));
        };
        let mut reader = Reader {
            path: &source.path,
            failures: Vec::new(),
        };
        let Some(fields) = reader.object(root, "the kustomization", &FIELDS) else {
            return Err(reader.failures);
        };
        let is_set = |(name, node): &(&str, &Node)| {
            !matches!(*name, "apiVersion" | "kind")
                && !matches!(node.value, Value::Null)
                && node.as_str() != Some("")
        };
        if reader.failures.is_empty() && !fields.iter().any(is_set) {
            return Err(empty(root.mark));
        }
        let mut spec = Spec {
            file,
            path: source.path.clone(),
            mark: root.mark,
            ..Spec::default()
        };
        for (name, node) in fields {
            spec.take(name, node, &mut reader);
        }
        let kind = reader.api(root);
        spec.is_component = kind == "Component";
        if reader.failures.is_empty() {
            Ok(spec)
        } else {
            Err(reader.failures)
        }
    }

    fn take(&mut self, name: &str, node: &Node, reader: &mut Reader<'_>) {
        match name {
            "namePrefix" => self.name_prefix = reader.filled(node, name),
            "nameSuffix" => self.name_suffix = reader.filled(node, name),
            "namespace" => self.namespace = reader.filled(node, name),
            "resources" => {
                let own = reader.texts(node, name);
                // Before what `bases` may have named.
                self.resources.splice(0..0, own);
            }
            "bases" => self.resources.extend(reader.texts(node, name)),
            "components" => self.components = reader.texts(node, name),
            "crds" => self.crds = reader.texts(node, name),
            "configurations" => self.configurations = reader.texts(node, name),
            "commonLabels" => self.common_labels = reader.pairs(node, name).unwrap_or_default(),
            "commonAnnotations" => {
                self.common_annotations = reader.pairs(node, name).unwrap_or_default();
            }
            "labels" => self.labels = reader.each(node, name, Reader::label),
            "patchesStrategicMerge" => self.merges = reader.each(node, name, Reader::merge),
            "patches" => self.patches = reader.each(node, name, Reader::patch),
            "patchesJson6902" => self.json_patches = reader.each(node, name, Reader::patch),
            "images" => {
                let own = reader.each(node, name, Reader::image);
                self.images.splice(0..0, own);
            }
            "imageTags" => self.images.extend(reader.each(node, name, Reader::image)),
            "replicas" => self.replicas = reader.each(node, name, Reader::replica),
            "replacements" => {
                self.replacements = reader.each(node, name, Reader::replacement_field);
            }
            "vars" => self.vars = reader.each(node, name, Reader::var),
            "sortOptions" => self.sort = reader.sort_options(node),
            "configMapGenerator" => {
                self.config_maps = reader.each(node, name, |r, n| r.generator(n, false));
            }
            "secretGenerator" => {
                self.secrets = reader.each(node, name, |r, n| r.generator(n, true));
            }
            "generatorOptions" => self.generator_options = reader.generator_options(node),
            "buildMetadata" => {
                self.build_metadata = reader.texts(node, name);
                for option in &self.build_metadata {
                    let known = [
                        "originAnnotations",
                        "transformerAnnotations",
                        "managedByLabel",
                    ];
                    if !known.contains(&option.as_str()) {
                        // kustomize takes it and does nothing.
                        tracing::debug!(option = option.as_str(), "unknown buildMetadata");
                    }
                }
            }
            "openapi" if !node.entries().is_empty() => {
                self.unsupported.push((node.mark, "openapi"));
            }
            "generators" if !node.items().is_empty() => {
                self.unsupported.push((node.mark, "generators"));
            }
            "transformers" if !node.items().is_empty() => {
                self.unsupported.push((node.mark, "transformers"));
            }
            "validators" if !node.items().is_empty() => {
                self.unsupported.push((node.mark, "validators"));
            }
            "helmCharts" | "helmChartInflationGenerator" if !node.items().is_empty() => {
                self.helm_charts = Some(node.mark);
            }
            _ => {}
        }
    }
}

/// Reads values of the types that they must have, and gathers what is wrong.
pub(crate) struct Reader<'a> {
    pub(crate) path: &'a str,
    pub(crate) failures: Vec<Failure>,
}

impl Reader<'_> {
    pub(crate) fn fail(&mut self, mark: Mark, message: impl Into<String>) {
        self.failures.push(Failure::new(self.path, mark, message));
    }

    fn wrong_type(&mut self, node: &Node, what: &str, wanted: &str) {
        let is = match &node.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a mapping",
        };
        let mut failure = Failure::new(
            self.path,
            node.mark,
            format!("{what} is {is} here, and must be {wanted}"),
        );
        if wanted == "a text" && matches!(node.value, Value::Bool(_) | Value::Number(_)) {
            failure = failure.with_help("put it in quotes");
        }
        self.failures.push(failure);
    }

    /// The members of an object by their proper names; names are known in any case.
    fn object<'n, 'k>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &'k [&'k str],
    ) -> Option<Vec<(&'k str, &'n Node)>> {
        if matches!(node.value, Value::Null) {
            return None;
        }
        let Value::Object(map) = &node.value else {
            self.wrong_type(node, what, "a mapping");
            return None;
        };
        let mut found: Vec<(&str, &Node)> = Vec::with_capacity(map.len());
        for entry in map.iter() {
            let name = known
                .iter()
                .find(|name| name.eq_ignore_ascii_case(&entry.key));
            match name {
                Some(name) => {
                    found.retain(|(other, _)| other != name);
                    found.push((name, &entry.node));
                }
                None => {
                    let near = known
                        .iter()
                        .map(|name| (strsim::damerau_levenshtein(name, &entry.key), name))
                        .min()
                        .filter(|(distance, _)| *distance <= 3);
                    let mut failure = Failure::new(
                        self.path,
                        entry.key_mark,
                        format!("unknown field {:?} in {what}", entry.key),
                    );
                    if let Some((_, name)) = near {
                        failure = failure.with_help(format!("did you mean {name}?"));
                    }
                    self.failures.push(failure);
                }
            }
        }
        Some(found)
    }

    /// Checks `apiVersion` and `kind`, and gives the kind.
    fn api(&mut self, root: &Node) -> String {
        let mut text = |key: &str| {
            let mut entries = root.entries().iter();
            let node = entries
                .rfind(|e| e.key.eq_ignore_ascii_case(key))
                .map(|e| &e.node);
            node.and_then(|node| self.text(node, key))
        };
        let (version, kind) = (text("apiVersion"), text("kind"));
        let kind_name = match &kind {
            Some(kind) if !kind.value.is_empty() => kind.value.to_string(),
            _ => "Kustomization".to_owned(),
        };
        if let Some(kind) =
            kind.filter(|_| !["Kustomization", "Component"].contains(&kind_name.as_str()))
        {
            self.fail(kind.mark, "kind should be Kustomization or Component");
        }
        let wanted = if kind_name == "Component" {
            "kustomize.config.k8s.io/v1alpha1"
        } else {
            "kustomize.config.k8s.io/v1beta1"
        };
        if let Some(version) = version.filter(|v| !v.value.is_empty() && v.value != wanted) {
            self.fail(
                version.mark,
                format!("apiVersion for {kind_name} should be {wanted}"),
            );
        }
        kind_name
    }

    /// A text; nothing where it is null.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<Text> {
        match &node.value {
            Value::Null => None,
            Value::String(text) => Some(Text {
                value: text.clone(),
                mark: node.mark,
            }),
            _ => {
                self.wrong_type(node, what, "a text");
                None
            }
        }
    }

    /// A text that is not empty.
    fn filled(&mut self, node: &Node, what: &str) -> Option<Text> {
        self.text(node, what).filter(|text| !text.value.is_empty())
    }

    fn flag(&mut self, node: &Node, what: &str) -> bool {
        match node.value {
            Value::Null => false,
            Value::Bool(b) => b,
            _ => {
                self.wrong_type(node, what, "true or false");
                false
            }
        }
    }

    fn integer(&mut self, node: &Node, what: &str) -> i64 {
        match node.value {
            Value::Null => 0,
            Value::Number(Number::Int(i)) => i,
            _ => {
                self.wrong_type(node, what, "a whole number");
                0
            }
        }
    }

    fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::Null => &[],
            Value::Array(items) => items,
            _ => {
                self.wrong_type(node, what, "a list");
                &[]
            }
        }
    }

    fn each<T>(
        &mut self,
        node: &Node,
        what: &str,
        mut read: impl FnMut(&mut Self, &Node) -> T,
    ) -> Vec<T> {
        self.list(node, what)
            .iter()
            .map(|item| read(self, item))
            .collect()
    }

    /// Texts; a null among them is an empty one.
    fn texts(&mut self, node: &Node, what: &str) -> Vec<Text> {
        let item = format!("an item of {what}");
        self.each(node, what, |reader, node| {
            reader.text(node, &item).unwrap_or(Text {
                mark: node.mark,
                ..Text::default()
            })
        })
    }

    fn pairs(&mut self, node: &Node, what: &str) -> Option<Pairs> {
        let map: &Map = match &node.value {
            Value::Null => return None,
            Value::Object(map) => map,
            _ => {
                self.wrong_type(node, what, "a mapping");
                return None;
            }
        };
        let pairs = map.iter().map(|entry| {
            let key = Text {
                value: entry.key.clone(),
                mark: entry.key_mark,
            };
            let what = format!("{what}.{}", entry.key);
            (key, self.text(&entry.node, &what).unwrap_or_default())
        });
        Some(pairs.collect())
    }

    fn label(&mut self, node: &Node) -> Label {
        const KNOWN: [&str; 4] = ["pairs", "includeSelectors", "includeTemplates", "fields"];
        let mut label = Label::default();
        for (name, node) in self
            .object(node, "an entry of labels", &KNOWN)
            .unwrap_or_default()
        {
            match name {
                "pairs" => label.pairs = self.pairs(node, name).unwrap_or_default(),
                "includeSelectors" => label.include_selectors = self.flag(node, name),
                "includeTemplates" => label.include_templates = self.flag(node, name),
                _ => {
                    let path = self.path;
                    let fail = |mark, message: String| Failure::new(path, mark, message);
                    for item in self.list(node, name) {
                        let field = fields::field(item, &mut self.failures, &fail);
                        label.fields.extend(field);
                    }
                }
            }
        }
        label
    }

    fn merge(&mut self, node: &Node) -> Patch {
        let text = self
            .text(node, "an item of patchesStrategicMerge")
            .unwrap_or_default();
        let is_inline = text.value.contains('\n') || text.value.trim_start().starts_with('{');
        Patch {
            mark: node.mark,
            inline: is_inline.then(|| node.clone()),
            path: (!is_inline).then_some(text),
            ..Patch::default()
        }
    }

    fn patch(&mut self, node: &Node) -> Patch {
        const KNOWN: [&str; 4] = ["path", "patch", "target", "options"];
        let mut patch = Patch {
            mark: node.mark,
            is_trimmed: true,
            ..Patch::default()
        };
        for (name, node) in self.object(node, "a patch", &KNOWN).unwrap_or_default() {
            match name {
                "path" => patch.path = self.filled(node, name),
                "patch" => {
                    let text = self.text(node, name);
                    patch.inline = text
                        .filter(|t| !t.value.trim().is_empty())
                        .map(|_| node.clone());
                }
                "target" => patch.target = self.target(node).map(Arc::new),
                _ => {
                    let options = match &node.value {
                        Value::Object(map) => map.iter().collect(),
                        Value::Null => Vec::new(),
                        _ => {
                            self.wrong_type(node, name, "a mapping");
                            Vec::new()
                        }
                    };
                    for option in options {
                        let value = self.flag(&option.node, &option.key);
                        match option.key.as_str() {
                            "allowNameChange" => patch.allow_name_change = value,
                            "allowKindChange" => patch.allow_kind_change = value,
                            _ => {}
                        }
                    }
                }
            }
        }
        patch
    }

    fn target(&mut self, node: &Node) -> Option<Target> {
        let exact = self.exact_target(node, "target")?;
        match Target::new(&exact, node.mark) {
            Ok(target) => Some(target),
            Err((mark, message)) => {
                self.fail(mark, message);
                None
            }
        }
    }

    fn exact_target(&mut self, node: &Node, what: &str) -> Option<ExactTarget> {
        const KNOWN: [&str; 7] = [
            "group",
            "version",
            "kind",
            "name",
            "namespace",
            "annotationSelector",
            "labelSelector",
        ];
        let mut target = ExactTarget::default();
        for (name, node) in self.object(node, what, &KNOWN)? {
            let Some(text) = self.text(node, name) else {
                continue;
            };
            match name {
                "group" => target.of.group = text.value,
                "version" => target.of.version = text.value,
                "kind" => target.of.kind = text.value,
                "name" => target.name = text.value,
                "namespace" => target.namespace = text.value,
                "annotationSelector" => target.annotation_selector = text,
                _ => target.label_selector = text,
            }
        }
        Some(target)
    }

    fn image(&mut self, node: &Node) -> Image {
        const KNOWN: [&str; 5] = ["name", "newName", "newTag", "tagSuffix", "digest"];
        let mut image = Image::default();
        for (name, node) in self
            .object(node, "an entry of images", &KNOWN)
            .unwrap_or_default()
        {
            let text = self.filled(node, name);
            match name {
                "name" => image.name = text.map(|t| t.value).unwrap_or_default(),
                "newName" => image.new_name = text,
                "newTag" => image.new_tag = text,
                "tagSuffix" => image.tag_suffix = text,
                _ => image.digest = text,
            }
        }
        image
    }

    fn replica(&mut self, node: &Node) -> Replica {
        let mut replica = Replica {
            mark: node.mark,
            ..Replica::default()
        };
        let known = ["name", "count"];
        for (name, node) in self
            .object(node, "an entry of replicas", &known)
            .unwrap_or_default()
        {
            if name == "name" {
                replica.name = self.text(node, name).unwrap_or_default();
            } else {
                replica.count = self.integer(node, name);
                replica.mark = node.mark;
            }
        }
        replica
    }

    fn replacement_field(&mut self, node: &Node) -> ReplacementField {
        let known = ["path", "source", "targets"];
        let fields = self
            .object(node, "an entry of replacements", &known)
            .unwrap_or_default();
        let path = fields.iter().find(|(name, _)| *name == "path");
        let path = path.and_then(|(_, node)| self.filled(node, "path"));
        if let Some(path) = path {
            if fields.len() > 1 {
                self.fail(node.mark, "cannot specify both path and inline replacement");
            }
            return ReplacementField::Path(path);
        }
        ReplacementField::Here(Box::new(self.replacement(node)))
    }

    /// A replacement, in the kustomization or a file of its own.
    pub(crate) fn replacement(&mut self, node: &Node) -> Replacement {
        let mut replacement = Replacement {
            mark: node.mark,
            ..Replacement::default()
        };
        let known = ["path", "source", "targets"];
        for (name, node) in self
            .object(node, "a replacement", &known)
            .unwrap_or_default()
        {
            match name {
                "source" => replacement.source = self.replacement_source(node),
                "targets" if !matches!(node.value, Value::Null) => {
                    replacement.targets = Some(self.each(node, name, Reader::replacement_target));
                }
                _ => {}
            }
        }
        replacement
    }

    fn replacement_source(&mut self, node: &Node) -> Option<ReplacementSource> {
        const KNOWN: [&str; 7] = [
            "group",
            "version",
            "kind",
            "name",
            "namespace",
            "fieldPath",
            "options",
        ];
        let mut source = ReplacementSource {
            mark: node.mark,
            ..ReplacementSource::default()
        };
        for (name, node) in self.object(node, "a source", &KNOWN)? {
            if name == "options" {
                source.options = self.field_options(node);
                continue;
            }
            let text = self.text(node, name).unwrap_or_default();
            match name {
                "group" => source.select.of.group = text.value,
                "version" => source.select.of.version = text.value,
                "kind" => source.select.of.kind = text.value,
                "name" => source.select.name = text.value,
                "namespace" => source.select.namespace = text.value,
                _ => source.field_path = text,
            }
        }
        if source.field_path.value.is_empty() {
            source.field_path = Text {
                value: DEFAULT_FIELD_PATH.into(),
                mark: node.mark,
            };
        }
        Some(source)
    }

    fn replacement_target(&mut self, node: &Node) -> ReplacementTarget {
        let mut target = ReplacementTarget {
            mark: node.mark,
            ..ReplacementTarget::default()
        };
        let known = ["select", "reject", "fieldPaths", "options"];
        for (name, node) in self.object(node, "a target", &known).unwrap_or_default() {
            match name {
                "select" => target.select = self.exact_target(node, name),
                "reject" => {
                    let rejected = self.each(node, name, |r, n| r.exact_target(n, "reject"));
                    target.reject = rejected.into_iter().flatten().collect();
                }
                "fieldPaths" => target.field_paths = self.texts(node, name),
                _ => target.options = self.field_options(node),
            }
        }
        if target.field_paths.is_empty() {
            target.field_paths.push(Text {
                value: DEFAULT_FIELD_PATH.into(),
                mark: node.mark,
            });
        }
        target
    }

    fn field_options(&mut self, node: &Node) -> Option<FieldOptions> {
        let mut options = FieldOptions::default();
        let known = ["delimiter", "index", "encoding", "create"];
        for (name, node) in self.object(node, "options", &known)? {
            match name {
                "delimiter" => {
                    options.delimiter = self.text(node, name).unwrap_or_default().value;
                }
                "index" => options.index = self.integer(node, name),
                "create" => options.create = self.flag(node, name),
                _ => {
                    self.text(node, name);
                }
            }
        }
        Some(options)
    }

    fn var(&mut self, node: &Node) -> Var {
        let mut var = Var {
            field_path: DEFAULT_FIELD_PATH.into(),
            ..Var::default()
        };
        let known = ["name", "objref", "fieldref"];
        for (name, node) in self.object(node, "a var", &known).unwrap_or_default() {
            match name {
                "name" => var.name = self.text(node, name).unwrap_or_default(),
                "objref" => self.object_reference(node, &mut var),
                _ => {
                    let fields = self.object(node, name, &["fieldPath"]).unwrap_or_default();
                    for (name, node) in fields {
                        var.field_path = self
                            .filled(node, name)
                            .map_or_else(|| DEFAULT_FIELD_PATH.into(), |text| text.value);
                    }
                }
            }
        }
        var
    }

    fn object_reference(&mut self, node: &Node, var: &mut Var) {
        const KNOWN: [&str; 6] = [
            "apiVersion",
            "group",
            "version",
            "kind",
            "name",
            "namespace",
        ];
        let mut api_version = None;
        for (name, node) in self.object(node, "objref", &KNOWN).unwrap_or_default() {
            let Some(text) = self.filled(node, name) else {
                continue;
            };
            match name {
                "apiVersion" => api_version = Some(text.value),
                "group" => var.of.group = text.value,
                "version" => var.of.version = text.value,
                "kind" => var.of.kind = text.value,
                "name" => var.object = text.value,
                _ => var.namespace = text.value,
            }
        }
        if let Some(api_version) = api_version {
            match split_path(&api_version, '/').as_slice() {
                [group, version] => {
                    var.of.group = group.as_str().into();
                    var.of.version = version.as_str().into();
                }
                [version] => var.of.version = version.as_str().into(),
                _ => {}
            }
        }
    }

    fn sort_options(&mut self, node: &Node) -> Option<SortOptions> {
        let known = ["order", "legacySortOptions"];
        let fields = self.object(node, "sortOptions", &known)?;
        let (mut order, mut legacy) = (None, None);
        for (name, node) in fields {
            if name == "order" {
                order = self.text(node, name);
            } else if let Some(lists) = self.object(node, name, &["orderFirst", "orderLast"]) {
                let (mut first, mut last) = (Vec::new(), Vec::new());
                for (name, node) in lists {
                    let kinds = self
                        .texts(node, name)
                        .into_iter()
                        .map(|t| t.value)
                        .collect();
                    *(if name == "orderFirst" {
                        &mut first
                    } else {
                        &mut last
                    }) = kinds;
                }
                legacy = Some((node.mark, (first, last)));
            }
        }
        let order = match order.as_ref().map(Text::as_str) {
            Some("legacy") => Order::Legacy,
            Some("fifo") => Order::Fifo,
            _ => {
                let mark = order.map_or(node.mark, |text| text.mark);
                self.fail(
                    mark,
                    "the field 'sortOptions.order' must be one of [fifo, legacy]",
                );
                return None;
            }
        };
        if let (Order::Fifo, Some((mark, _))) = (order, &legacy) {
            self.fail(
                *mark,
                "legacySortOptions is set but the selected sort order is 'fifo', not 'legacy'",
            );
        }
        Some(SortOptions {
            order,
            legacy: legacy.map(|(_, lists)| lists),
        })
    }

    fn generator(&mut self, node: &Node, is_secret: bool) -> Generator {
        const KNOWN: [&str; 9] = [
            "namespace",
            "name",
            "behavior",
            "literals",
            "files",
            "envs",
            "env",
            "options",
            "type",
        ];
        let known = if is_secret { &KNOWN[..] } else { &KNOWN[..8] };
        let mut generator = Generator {
            mark: node.mark,
            ..Generator::default()
        };
        let mut env = None;
        for (name, node) in self.object(node, "a generator", known).unwrap_or_default() {
            match name {
                "namespace" => generator.namespace = self.filled(node, name),
                "name" => generator.name = self.text(node, name).unwrap_or_default(),
                "behavior" => {
                    generator.behavior = match self.text(node, name).as_ref().map(Text::as_str) {
                        Some("create") => Behavior::Create,
                        Some("replace") => Behavior::Replace,
                        Some("merge") => Behavior::Merge,
                        _ => Behavior::Unspecified,
                    };
                }
                "literals" => generator.literals = self.texts(node, name),
                "files" => generator.files = self.texts(node, name),
                "envs" => generator.envs = self.texts(node, name),
                "env" => env = self.filled(node, name),
                "options" => generator.options = self.generator_options(node),
                _ => generator.secret_type = self.filled(node, name),
            }
        }
        generator.envs.extend(env);
        generator
    }

    fn generator_options(&mut self, node: &Node) -> Option<GeneratorOptions> {
        const KNOWN: [&str; 4] = [
            "labels",
            "annotations",
            "disableNameSuffixHash",
            "immutable",
        ];
        let mut options = GeneratorOptions::default();
        for (name, node) in self.object(node, "generator options", &KNOWN)? {
            match name {
                "labels" => options.labels = self.pairs(node, name),
                "annotations" => options.annotations = self.pairs(node, name),
                "immutable" => options.immutable = self.flag(node, name).then_some(node.mark),
                _ => options.disable_name_suffix_hash = self.flag(node, name),
            }
        }
        Some(options)
    }
}

/// The field that is meant where none is named.
const DEFAULT_FIELD_PATH: &str = "metadata.name";
