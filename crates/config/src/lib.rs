//! `stagegate.yaml`: one file for both doors.
//!
//! The file is read by `manifest`, so that every value has its place and every mistake its line
//! and column.

mod model;
mod reader;
mod schema;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use stagegate_core::{
    FileId, Mark, Meta, NameGlob, Node, Object, PathGlob, Settings, Stage, StageName,
};
use stagegate_manifest::{Format, ProblemKind, Profile, Source};

pub use schema::schema;

/// The name of the file, looked for in the linted folder.
pub const FILE_NAME: &str = "stagegate.yaml";
/// What its `apiVersion` must be.
pub const API_VERSION: &str = "stagegate.dev/v1alpha1";

/// A configuration.
#[derive(Debug, Default)]
pub struct Config {
    /// What decides verdicts.
    pub settings: Settings,
    /// The stages, in the order of promotion; empty where the layout decides.
    pub stages: Vec<StageConfig>,
    /// Objects that live elsewhere.
    pub external: Vec<External>,
    /// URLs under which the repository is known.
    pub self_urls: Vec<String>,
    /// Paths that are not meant to be judged.
    pub unrendered: Vec<Unrendered>,
    /// How kustomizations are built; the first that fits decides.
    pub kustomize: Vec<Kustomize>,
    /// Folders below the linted one that hold policies, and nothing to judge.
    pub policy_folders: Vec<String>,
}

/// Where a configuration says that policies are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyDirs {
    /// Folders relative to the configuration's own, each with its place.
    pub folders: Vec<(String, Mark)>,
    /// The packages of policies in conftest's form; none where that is not said.
    pub packages: Vec<String>,
}

/// A configured stage.
#[derive(Clone, Debug)]
pub struct StageConfig {
    /// The stage.
    pub stage: Stage,
    /// The files that belong to it.
    pub paths: Vec<PathGlob>,
    /// The namespaces that belong to it, for the webhook.
    pub namespaces: Vec<NameGlob>,
    /// The labels of the namespaces that belong to it, for the webhook.
    pub namespace_selector: Option<Node>,
}

/// An object that lives elsewhere.
#[derive(Clone, Debug)]
pub struct External {
    /// Where it stands.
    pub mark: Mark,
    /// The object, as far as it is told.
    pub object: Arc<Object>,
    /// The stages that can rely on it; all where none is named.
    pub stages: Vec<String>,
}

/// How kustomizations are built.
#[derive(Clone, Debug)]
pub struct Kustomize {
    /// The kustomizations that are built, not their bases.
    pub paths: Vec<PathGlob>,
    /// Whether they may read files outside of their own folder.
    pub reads_any_file: bool,
}

/// Paths that are not meant to be judged.
#[derive(Clone, Debug)]
pub struct Unrendered {
    /// The files and folders.
    pub paths: Vec<PathGlob>,
    /// Why.
    pub reason: String,
}

/// A mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// Where.
    pub mark: Mark,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Config {
    /// What a configuration file says of where policies are, which have to be known before the rest
    /// can be read. Mistakes are left to [`Config::read`].
    pub fn policy_dirs(file: FileId, source: &Source) -> PolicyDirs {
        let loaded = stagegate_manifest::load(file, source, Format::Yaml, Profile::Kustomize);
        let root = loaded.documents.first();
        let list = |key: &str| {
            let list = root.and_then(|root| root.get(key));
            let items = list.map_or(&[][..], Node::items).iter();
            items.filter_map(|item| Some((item.as_str()?.to_owned(), item.mark)))
        };
        PolicyDirs {
            folders: list("policyDirs").collect(),
            packages: list("regoPackages").map(|(name, _)| name).collect(),
        }
    }

    /// Reads a configuration file for these policies.
    ///
    /// # Errors
    /// Every mistake in the file, sorted by place: unknown keys, policies, parameters and values,
    /// wrong types, stages that do not fit together.
    pub fn read<'m>(
        file: FileId,
        source: &Source,
        policies: impl Iterator<Item = &'m Meta>,
    ) -> Result<Config, Vec<ConfigError>> {
        let loaded = stagegate_manifest::load(file, source, Format::Yaml, Profile::Kustomize);
        let mut errors: Vec<ConfigError> = loaded
            .problems
            .iter()
            .map(|p| ConfigError {
                mark: p.mark,
                message: match p.kind {
                    // The reader's own message speaks of programs that read manifests.
                    ProblemKind::DuplicateKey => "the key stands twice".to_owned(),
                    _ => p.message.clone(),
                },
                help: None,
            })
            .collect();
        let mut documents = loaded.documents.into_iter();
        let Some(root) = documents.next() else {
            if errors.is_empty() {
                errors.push(ConfigError {
                    mark: Mark::new(file, 0, 0),
                    message: "the configuration is empty".to_owned(),
                    help: Some(format!(
                        "begin with `apiVersion: {API_VERSION}`, `kind: Config`"
                    )),
                });
            }
            return Err(errors);
        };
        if let Some(second) = documents.next() {
            errors.push(ConfigError {
                mark: second.mark,
                message: "a configuration is one document, and here begins a second".to_owned(),
                help: None,
            });
        }
        let policies: Vec<&Meta> = policies.collect();
        let schema = schema(policies.iter().copied());
        let instance = schema::instance(&root);
        schema::validate(&schema, &instance, &root, &mut errors);
        if !errors.is_empty() {
            errors.sort_by_key(|e| e.mark);
            return Err(errors);
        }
        let file: model::File = match serde_json::from_value(instance) {
            Ok(file) => file,
            Err(error) => {
                return Err(vec![ConfigError {
                    mark: root.mark,
                    message: format!("the configuration cannot be read: {error}"),
                    help: None,
                }]);
            }
        };
        let config = reader::read(file, &root, &policies, &mut errors);
        errors.sort_by_key(|e| e.mark);
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }

    /// Stages that the configuration speaks of, and that are neither among `names` nor known
    /// everywhere: most likely misspelt, and then silently without effect.
    pub fn unknown_stages(&self, names: &[&str]) -> Vec<ConfigError> {
        let settings = &self.settings;
        let overrides = settings.policies.values().flat_map(|p| &p.stages);
        let overrides = overrides.map(|(name, differs)| (name, differs.mark));
        let waivers = settings.waivers.iter();
        let waivers = waivers.flat_map(|w| w.stages.iter().map(|name| (name, w.mark)));
        let external = self.external.iter();
        let external = external.flat_map(|e| e.stages.iter().map(|name| (name, e.mark)));
        let unknown = overrides
            .chain(waivers)
            .chain(external)
            .filter(|(name, _)| {
                !names.contains(&name.as_str()) && StageName::known(name).is_none()
            });
        let mut errors: Vec<ConfigError> = unknown
            .map(|(name, mark)| ConfigError {
                mark,
                message: format!("there is no stage {name:?}"),
                help: Some(suggest(name, names.iter().copied())),
            })
            .collect();
        errors.sort_by_key(|e| e.mark);
        errors
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
