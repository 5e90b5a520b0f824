//! The native policies: one file each, `src/<category>/<id>.rs`.
//!
//! A policy's module documentation is its manual, with the headings What it checks, Why,
//! Parameters, How to fix and Controls; `stagegate explain` prints it. Its cases are folders in
//! `testdata/policies/<id>/`.

mod availability;
mod calico;
mod credentials;
mod gitops;
mod network;
mod observability;
mod pods;
mod resources;
mod security;
mod shell;
mod workload;

use stagegate_core::{Context, Labels, Meta, Parameters, Policy, PolicyError, Violation};

include!(concat!(env!("OUT_DIR"), "/registry.rs"));

/// A policy that stands for what is found elsewhere: by the reader, a renderer, or the accounting of
/// waivers. It judges nothing itself.
struct StandsFor(Meta);

impl Policy for StandsFor {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn review(&self, _: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        Ok(Vec::new())
    }
}

/// A policy's parameters, written as the `properties` of a JSON Schema.
fn parameters(properties: serde_json::Value) -> Parameters {
    match properties {
        serde_json::Value::Object(properties) => properties,
        _ => Parameters::new(),
    }
}

/// The labels of a namespace, as far as they are known: those of its object, and its name.
fn namespace_labels<'a>(cx: &Context<'a>, name: &'a str) -> Labels<'a> {
    let namespace = cx.named("", "Namespace", name).next();
    namespace
        .map_or_else(Labels::default, |namespace| namespace.labels())
        .implying("kubernetes.io/metadata.name", name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_kebab_case_and_named_like_their_files() {
        let mut seen = BTreeSet::new();
        for policy in all() {
            let id = policy.meta().id.to_string();
            assert!(
                id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{id}"
            );
            let file = format!(
                "{}/src/{}/{}.rs",
                env!("CARGO_MANIFEST_DIR"),
                policy.meta().category,
                id.replace('-', "_")
            );
            assert!(std::path::Path::new(&file).is_file(), "{file}");
            assert!(seen.insert(id));
        }
    }
}
