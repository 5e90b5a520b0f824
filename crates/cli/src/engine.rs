//! The one place that builds an engine.

use stagegate_core::{Engine, Policy, Settings};

use crate::error::Error;

/// Every policy.
pub(crate) fn policies() -> Vec<Box<dyn Policy>> {
    stagegate_policies::all()
}

/// The engine of every policy, configured.
pub(crate) fn build(settings: Settings) -> Result<Engine, Error> {
    let policies = policies();
    let known: Vec<String> = policies.iter().map(|p| p.meta().id.to_string()).collect();
    Engine::new(policies, settings).map_err(|error| {
        let help = match &error {
            stagegate_core::EngineError::UnknownPolicy(id) => {
                let help = stagegate_config::suggest(id, known.iter().map(String::as_str));
                format!("; {help}")
            }
            stagegate_core::EngineError::SameId(_) => String::new(),
        };
        Error::Usage(format!("{error}{help}"))
    })
}
