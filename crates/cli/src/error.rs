//! What keeps a command from doing its job.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use stagegate_config::ConfigError;
use stagegate_manifest::Sources;
use stagegate_rego::LoadError;
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
    #[error("the policies have mistakes")]
    Policies {
        errors: Vec<LoadError>,
        sources: Arc<Sources>,
    },
    #[error(transparent)]
    Layout(LayoutError),
    #[error(transparent)]
    Serve(#[from] stagegate_webhook::ServeError),
}
