//! `stagegate.yaml`: one file for both doors.
//!
//! The file is read by `manifest`, so that every value has its place and every mistake its line
//! and column.

mod reader;
mod stages;
#[cfg(test)]
mod tests;

use stagegate_core::{FileId, Mark, Settings, StageName};
use stagegate_manifest::{Format, ProblemKind, Profile, Source};

pub use reader::suggest;
pub use stages::{PathGlob, StageConfig};

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
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Every mistake in the file, sorted by place: unknown keys, wrong types, unknown values.
    pub fn read(file: FileId, source: &Source) -> Result<Config, Vec<ConfigError>> {
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
        let config = reader::read(&root, &mut errors);
        errors.sort_by_key(|e| e.mark);
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }

    /// Stages in the configuration of policies that are neither among `names` nor known everywhere:
    /// most likely misspelt, and then silently without effect.
    pub fn unknown_stages(&self, names: &[&str]) -> Vec<ConfigError> {
        let overrides = self.settings.policies.values().flat_map(|p| &p.stages);
        let unknown = overrides.filter(|(name, _)| {
            !names.contains(&name.as_str()) && StageName::known(name).is_none()
        });
        let mut errors: Vec<ConfigError> = unknown
            .map(|(name, differs)| ConfigError {
                mark: differs.mark,
                message: format!("there is no stage {name:?}"),
                help: Some(suggest(name, names.iter().copied())),
            })
            .collect();
        errors.sort_by_key(|e| e.mark);
        errors
    }
}
