//! The native policies: one file each, `src/<category>/<id>.rs`.
//!
//! A policy's module documentation is its manual, with the headings What it checks, Why,
//! Parameters, How to fix and Controls; `stagegate explain` prints it. Its cases are folders in
//! `testdata/policies/<id>/`.

mod gitops;
mod resources;
mod workload;

use stagegate_core::Policy;

include!(concat!(env!("OUT_DIR"), "/registry.rs"));

/// The id of the policy that stands for everything that should have been judged and was not.
pub use gitops::unrendered::ID as UNRENDERED;

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

    #[test]
    fn every_manual_has_its_headings_in_order() {
        for policy in all() {
            let meta = policy.meta();
            let headings: Vec<_> = meta
                .manual
                .lines()
                .filter_map(|line| line.strip_prefix("# "))
                .collect();
            assert_eq!(
                headings,
                [
                    "What it checks",
                    "Why",
                    "Parameters",
                    "How to fix",
                    "Controls"
                ],
                "{}",
                meta.id
            );
            for parameter in meta.parameters.iter() {
                assert!(
                    meta.manual.contains(&format!("`{}`", parameter.name)),
                    "{}",
                    meta.id
                );
            }
            for control in meta.controls.iter() {
                assert!(
                    meta.manual.contains(control.id),
                    "{}: {}",
                    meta.id,
                    control.id
                );
            }
            assert!(
                !meta.help.is_empty() && !meta.title.ends_with('.'),
                "{}",
                meta.id
            );
        }
    }
}
