//! The one place that builds an engine.

use std::sync::Arc;

use stagegate_core::{Engine, Settings};
use stagegate_manifest::Sources;

use crate::error::Error;

/// The engine of every policy, configured.
pub(crate) fn build(settings: Settings, sources: &Arc<Sources>) -> Result<Engine, Error> {
    Engine::new(stagegate_policies::all(), settings)
        .map_err(|errors| Error::of_engine(errors, sources))
}
