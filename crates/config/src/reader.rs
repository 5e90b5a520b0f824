//! Nodes to configuration, with a located error for everything unexpected.

use std::fmt;

use stagegate_core::{
    Enforcement, Entry, KubernetesVersion, Node, PolicySettings, Severity, StageOverride, Value,
};

use crate::{API_VERSION, Config, ConfigError, stages};

/// Keys of the file that this version does not act on. Refused, because a rule that is written
/// down and silently not applied is worse than none.
const NOT_YET: &[&str] = &[
    "extends",
    "waivers",
    "clusters",
    "external",
    "defaultStage",
    "clusterScopedStage",
    "policyDirs",
    "schemas",
    "selfUrls",
    "unrendered",
];

pub(crate) fn read(root: &Node, errors: &mut Vec<ConfigError>) -> Config {
    let mut config = Config::default();
    let mut reader = Reader { errors };
    for required in [("apiVersion", API_VERSION), ("kind", "Config")] {
        match root.get(required.0) {
            None => reader.error(
                root,
                format!("the configuration has no {}", required.0),
                Some(format!("add `{}: {}`", required.0, required.1)),
            ),
            Some(node) if node.as_str() != Some(required.1) => {
                reader.error(node, format!("{} must be {}", required.0, required.1), None);
            }
            Some(_) => {}
        }
    }
    const KEYS: &[&str] = &[
        "apiVersion",
        "kind",
        "kubernetesVersion",
        "stages",
        "policies",
    ];
    for entry in reader.entries(root, "the configuration") {
        match entry.key.as_str() {
            "apiVersion" | "kind" => {}
            "kubernetesVersion" => {
                let text = match &entry.node.value {
                    Value::String(s) => s.to_string(),
                    Value::Number(n) => n.to_string(),
                    _ => String::new(),
                };
                // An unquoted 1.30 is the number 1.3: the file means a version that it does not say.
                let quoted = entry.node.as_str().is_some();
                match KubernetesVersion::parse(&text) {
                    Some(version) if quoted => config.settings.kubernetes_version = version,
                    _ => reader.error(
                        &entry.node,
                        "kubernetesVersion must be a version in quotes".to_owned(),
                        Some("for example \"1.34\"".to_owned()),
                    ),
                }
            }
            "stages" => config.stages = stages::read(&entry.node, &mut reader),
            "policies" => {
                for policy in reader.entries(&entry.node, "policies") {
                    let settings = reader.policy(policy);
                    config
                        .settings
                        .policies
                        .insert(policy.key.to_string(), settings);
                }
            }
            key if NOT_YET.contains(&key) => reader.errors.push(ConfigError {
                mark: entry.key_mark,
                message: format!("`{key}` is not supported by this version of stagegate"),
                help: Some("remove it: what it asks for would not be done".to_owned()),
            }),
            _ => reader.unknown_key(entry, "the configuration", KEYS),
        }
    }
    config
}

/// Collects errors while values are taken out of nodes.
pub(crate) struct Reader<'e> {
    errors: &'e mut Vec<ConfigError>,
}

impl Reader<'_> {
    pub(crate) fn error(&mut self, node: &Node, message: String, help: Option<String>) {
        self.errors.push(ConfigError {
            mark: node.mark,
            message,
            help,
        });
    }

    pub(crate) fn unknown_key(&mut self, entry: &Entry, place: &str, known: &[&str]) {
        let key = entry.key.as_str();
        self.errors.push(ConfigError {
            mark: entry.key_mark,
            message: format!("{place} has no key `{key}`"),
            help: Some(suggest(key, known.iter().copied())),
        });
    }

    /// The entries of an object; an error for anything else.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Entry] {
        if node.as_map().is_none() {
            self.error(
                node,
                format!("{what} must be a mapping of keys to values"),
                None,
            );
        }
        node.entries()
    }

    /// The items of a list; an error for anything else.
    pub(crate) fn items<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        if !matches!(node.value, Value::Array(_)) {
            self.error(node, format!("{what} must be a list"), None);
        }
        node.items()
    }

    /// A string that is not empty; an error for anything else.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = node.as_str().filter(|s| !s.is_empty());
        if text.is_none() {
            self.error(
                node,
                format!("{what} must be a text"),
                Some("put it in quotes if it looks like a number, true or false".to_owned()),
            );
        }
        text
    }

    pub(crate) fn texts<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n str, &'n Node)> {
        let mut texts = Vec::new();
        for item in self.items(node, what) {
            if let Some(text) = self.text(item, what) {
                texts.push((text, item));
            }
        }
        texts
    }

    /// One of a few words.
    pub(crate) fn one_of<T: Copy + fmt::Display>(
        &mut self,
        node: &Node,
        what: &str,
        values: &[T],
    ) -> Option<T> {
        let text = self.text(node, what)?;
        let found = values.iter().copied().find(|v| v.to_string() == text);
        if found.is_none() {
            let names: Vec<String> = values.iter().map(ToString::to_string).collect();
            self.error(
                node,
                format!("{what} cannot be {text:?}"),
                Some(suggest(text, names.iter().map(String::as_str))),
            );
        }
        found
    }

    pub(crate) fn enforcement(&mut self, node: &Node) -> Option<Enforcement> {
        // Unquoted `off` means itself here; only kubectl reads it as false.
        self.one_of(node, "enforcement", &Enforcement::ALL)
    }

    fn policy(&mut self, entry: &Entry) -> PolicySettings {
        let mut settings = PolicySettings {
            mark: entry.key_mark,
            ..PolicySettings::default()
        };
        const KEYS: &[&str] = &["enforcement", "severity", "parameters", "stages"];
        for field in self.entries(&entry.node, "a policy's configuration") {
            match field.key.as_str() {
                "enforcement" => settings.enforcement = self.enforcement(&field.node),
                "severity" => {
                    settings.severity = self.one_of(&field.node, "severity", &Severity::ALL);
                }
                "parameters" => settings.parameters = self.parameters(&field.node),
                "stages" => {
                    for stage in self.entries(&field.node, "stages") {
                        let differs = self.stage_override(stage);
                        let name = stagegate_core::StageName::any(&stage.key).name;
                        if settings.stages.insert(name.clone(), differs).is_some() {
                            self.errors.push(ConfigError {
                                mark: stage.key_mark,
                                message: format!("the stage {name} stands twice, once by an alias"),
                                help: None,
                            });
                        }
                    }
                }
                _ => self.unknown_key(field, "a policy's configuration", KEYS),
            }
        }
        settings
    }

    fn stage_override(&mut self, entry: &Entry) -> StageOverride {
        let mut differs = StageOverride {
            mark: entry.key_mark,
            ..StageOverride::default()
        };
        for field in self.entries(&entry.node, "what differs in a stage") {
            match field.key.as_str() {
                "enforcement" => differs.enforcement = self.enforcement(&field.node),
                "parameters" => differs.parameters = self.parameters(&field.node),
                _ => self.unknown_key(
                    field,
                    "what differs in a stage",
                    &["enforcement", "parameters"],
                ),
            }
        }
        differs
    }

    /// Types and names are checked by the engine, which knows the policies.
    fn parameters(&mut self, node: &Node) -> Option<Node> {
        self.entries(node, "parameters");
        node.as_map().map(|_| node.clone())
    }
}

/// "did you mean …", or what there is.
pub fn suggest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let best = known
        .iter()
        .map(|k| {
            (
                strsim::jaro_winkler(&name.to_lowercase(), &k.to_lowercase()),
                *k,
            )
        })
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((_, best)) => format!("did you mean `{best}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}
