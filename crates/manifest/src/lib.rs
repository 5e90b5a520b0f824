//! Bytes to objects whose every node knows its place.
//!
//! One reader for YAML and JSON: it gives values and a [`Mark`] for every
//! key and value in one pass. Lines and columns are computed for findings only
//! ([`Sources::locate`]). What a scalar means follows what will apply it: see [`Profile`].
//!
//! ```text
//! bytes ─decode─> text ─split─> documents ─granit-parser events─> Builder ─> Node
//!                           └── { … } ───── jiter ──────────────────────────> Node
//! ```

mod ambiguity;
mod builder;
mod decode;
mod dotenv;
mod fast;
mod json;
mod list;
mod scalar;
mod sources;
mod split;
mod yaml;

use stagegate_core::{FileId, Mark, Node};

pub use ambiguity::{Ambiguity, ambiguities};
pub use decode::{Decoded, decode};
pub use dotenv::dotenv;
pub use list::expand_list;
pub use sources::{Source, Sources};

/// Which program will read the manifest. The two do not agree on everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `kubectl apply` and Argo CD's plain directories: sigs.k8s.io/yaml, go-yaml v2 rules.
    /// `on` is true; the last of two equal keys wins; the position of `<<` decides.
    Apply,
    /// kustomize, also under Flux: go-yaml v3 rules. `on` is a string; equal keys are an error;
    /// explicit keys win over `<<`.
    Kustomize,
}

/// How a file is written, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML, which may be JSON all the same.
    Yaml,
    /// JSON: what is wrong with it is said in terms of JSON.
    Json,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The values of the documents that could be read, empty ones left out, in their order.
    pub documents: Vec<Node>,
    /// What could not be read, or not as it was meant.
    pub problems: Vec<Problem>,
    /// Something in it may be read differently by another program: [`ambiguities`] tells what.
    pub ambiguous: bool,
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub mark: Mark,
    /// What is wrong, and what would be right.
    pub message: String,
    /// What it means for the document.
    pub kind: ProblemKind,
}

/// What a problem means for its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The document could not be read and is not among the results.
    Unreadable,
    /// A key stands twice; the result holds the last value, as `kubectl apply` would take it.
    DuplicateKey,
    /// Text that `kubectl apply` would silently ignore; it is not among the results.
    Ignored,
}

/// Reads a file. Never fails as a whole: a document that cannot be read is a [`Problem`], and the
/// others are read.
///
/// Nesting is limited to [`stagegate_core::MAX_DEPTH`], and aliases are expanded only as far as
/// kubectl would: time and memory stay proportional to the text.
pub fn load(file: FileId, source: &Source, format: Format, profile: Profile) -> Loaded {
    // kubectl tells by the first character too, whatever the file is called, and from 1.33 on it
    // reads as YAML what begins like JSON and is none.
    if source.text.trim_start().starts_with(['{', '[']) {
        let as_json = json::load(file, source);
        if as_json.problems.is_empty() {
            return as_json;
        }
        let as_yaml = yaml::load(file, source, profile);
        let is_yaml = as_yaml.problems.is_empty() || format == Format::Yaml;
        return if is_yaml { as_yaml } else { as_json };
    }
    yaml::load(file, source, profile)
}

const NOT_UTF8: &str = "a byte that is no UTF-8 character; save the file as UTF-8";
