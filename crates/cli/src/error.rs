//! What keeps a command from doing its job.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use stagegate_config::ConfigError;
use stagegate_core::EngineError;
use stagegate_manifest::Sources;
use stagegate_repo::LayoutError;

/// Why a command could not do its job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("the configuration has mistakes")]
    Config {
        errors: Vec<ConfigError>,
        sources: Arc<Sources>,
    },
    #[error(transparent)]
    Layout(LayoutError),
}

impl Error {
    /// Mistakes that the engine found, as mistakes of the file that its settings came from.
    pub(crate) fn of_engine(errors: Vec<EngineError>, sources: &Arc<Sources>) -> Error {
        let errors = errors
            .into_iter()
            .map(|error| ConfigError {
                help: error.unknown.map(|(name, known)| {
                    stagegate_config::suggest(&name, known.iter().map(String::as_str))
                }),
                mark: error.mark,
                message: error.message,
            })
            .collect();
        Error::Config {
            errors,
            sources: Arc::clone(sources),
        }
    }
}
