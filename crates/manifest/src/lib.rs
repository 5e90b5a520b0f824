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

use stagegate_core::{FileId, Mark, Node, Value};

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
    let mut loaded = yaml::load(file, source, profile);
    if profile == Profile::Kustomize {
        without_final_break(&mut loaded, source);
    }
    loaded
}

/// The meaning of an unquoted scalar.
///
/// # Errors
/// In words, why it has none: what JSON cannot hold.
pub fn plain_scalar(text: &str, profile: Profile) -> Result<Value, &'static str> {
    scalar::plain(text, profile)
}

/// The same for a text that nothing is added to: `kubectl apply` ends the last line of a manifest
/// before it reads it, kustomize does not, and neither does anything else that reads a patch.
pub fn load_exactly(file: FileId, source: &Source, format: Format, profile: Profile) -> Loaded {
    let mut loaded = load(file, source, format, profile);
    if profile == Profile::Apply {
        without_final_break(&mut loaded, source);
    }
    loaded
}

/// Takes the last line break from a block scalar that a text without one at its end ends with.
fn without_final_break(loaded: &mut Loaded, source: &Source) {
    fn walk(node: &mut Node, text: &str) {
        let ends_here = node.mark.end as usize >= text.len();
        match &mut node.value {
            Value::String(value) if ends_here && value.ends_with('\n') => {
                let written = text.get(node.mark.start as usize..).unwrap_or_default();
                if written.starts_with(['|', '>']) {
                    value.pop();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, text)),
            Value::Object(map) => map.iter_mut().for_each(|e| walk(&mut e.node, text)),
            _ => {}
        }
    }
    if let Some(last) = loaded
        .documents
        .last_mut()
        .filter(|_| !source.text.ends_with('\n'))
    {
        walk(last, &source.text);
    }
}

const NOT_UTF8: &str = "a byte that is no UTF-8 character; save the file as UTF-8";
