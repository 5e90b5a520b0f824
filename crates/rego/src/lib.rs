//! Policies in Rego: our own form, conftest's, and Gatekeeper's, behind the one `Policy` trait.
//!
//! ```text
//! files ─text─> what OPA and the interpreter read alike ─parse─> modules ─check─> programs
//!       ─own, conftest, gatekeeper─> policies ─convert, evaluate, answer─> violations
//! ```
//!
//! regorus evaluates; everything that it leaves open is closed here: what is refused before it is
//! parsed (`text`), written otherwise (`rewrite`), or refused before it is evaluated (`check`), what
//! its builtins may do (`builtins`) and answer (`opa`), and how long an evaluation may take
//! (`evaluate`). `docs/rego.md` says how its answers differ from OPA's.

mod answer;
mod builtins;
mod bundled;
mod check;
mod conftest;
mod convert;
mod evaluate;
mod folder;
mod gatekeeper;
mod library;
mod metadata;
mod module;
mod opa;
mod own;
mod patterns;
mod query;
mod rewrite;
mod secrets;
mod tests;
mod text;

use std::sync::Arc;

use stagegate_core::{Mark, Policy};

pub use bundled::bundled;
pub use folder::{Folder, PolicyFile, load};
pub use query::query;
pub use tests::{ModuleCoverage, RegoTest, TestOutcome, Tested, test};

/// What a folder of policies holds.
#[derive(Default)]
pub struct Loaded {
    /// The policies, sorted by id.
    pub policies: Vec<LoadedPolicy>,
    /// What is worth knowing, and keeps nothing from working.
    pub notices: Vec<LoadError>,
    /// Policies that are known and cannot be evaluated: where they are not configured off, what they
    /// would have judged was not.
    pub unsupported: Vec<Unsupported>,
}

/// A policy, and where it is defined.
pub struct LoadedPolicy {
    /// The policy; engines share it.
    pub policy: Arc<dyn Policy>,
    /// Where its name comes from.
    pub mark: Mark,
}

/// A policy that cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The policy's id.
    pub policy: String,
    /// Where it is written in what cannot be evaluated.
    pub mark: Mark,
    /// Why.
    pub message: String,
}

/// Something wrong with a folder of policies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// Where.
    pub mark: Mark,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// The known name that was most likely meant.
fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!("did you mean `{known}`?"))
}
