//! The crates keep to the table of ARCHITECTURE.md.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Which of our crates each may use. An arrow that runs back is a mistake in the design.
const MAY_USE: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("manifest", &["core"]),
    ("config", &["core", "manifest"]),
    ("render", &["core", "manifest"]),
    ("repo", &["core", "manifest", "config", "render"]),
    ("policies", &["core"]),
    ("rego", &["core", "manifest"]),
    ("admission", &["core"]),
    ("lint", &["core", "manifest", "config", "render", "repo"]),
    ("report", &["core", "lint"]),
    ("webhook", &["core", "admission"]),
    (
        "testkit",
        &[
            "core",
            "manifest",
            "config",
            "render",
            "repo",
            "policies",
            "rego",
            "admission",
            "lint",
            "report",
        ],
    ),
];

/// Packages that stop at one crate, so that nothing else depends on what they are like.
const STOPS_AT: &[(&str, &[&str])] = &[
    ("granit-parser", &["manifest"]),
    ("jiter", &["manifest"]),
    ("process_control", &["render"]),
    ("ignore", &["repo"]),
    ("annotate-snippets", &["report"]),
    ("quick-junit", &["report"]),
    ("clap", &["stagegate"]),
    ("indicatif", &["stagegate"]),
    ("jsonschema", &["config", "rego"]),
    ("regorus", &["rego"]),
    ("petgraph", &["rego"]),
    ("schemars", &["config"]),
    ("globset", &["core"]),
    ("sha2", &["render"]),
    ("axum", &["webhook"]),
    ("hyper", &["webhook"]),
    ("k8s-openapi", &["webhook"]),
    ("kube", &["webhook"]),
    ("prometheus-client", &["webhook"]),
    ("rustls", &["webhook"]),
    ("tokio", &["webhook"]),
    ("x509-parser", &["webhook"]),
];

fn metadata() -> Metadata {
    // What the manifests say; resolving it would take the registry.
    MetadataCommand::new().no_deps().exec().unwrap()
}

/// By our crate's short name, what it depends on outside of tests.
fn dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let short = |name: &str| name.strip_prefix("stagegate-").unwrap_or(name).to_owned();
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let used = package
                .dependencies
                .iter()
                .filter(|d| d.kind != DependencyKind::Development)
                .map(|d| short(&d.name))
                .collect();
            (short(&package.name), used)
        })
        .collect()
}

#[test]
fn crates_use_only_what_the_table_allows() {
    let dependencies = dependencies(&metadata());
    let ours: BTreeSet<&String> = dependencies.keys().collect();
    for (name, used) in &dependencies {
        // The command wires everything together.
        if name == "stagegate" {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(crate_name, _)| crate_name == name)
            .unwrap_or_else(|| panic!("{name} is not in the table"));
        for other in used.iter().filter(|other| ours.contains(other)) {
            assert!(
                allowed.contains(&other.as_str()),
                "{name} must not use {other}"
            );
        }
    }
    assert_eq!(dependencies.len(), MAY_USE.len() + 1);
}

#[test]
fn packages_stop_where_they_should() {
    let dependencies = dependencies(&metadata());
    for (package, crates) in STOPS_AT {
        for (name, used) in &dependencies {
            assert!(
                !used.contains(*package) || crates.contains(&name.as_str()),
                "{name} must not use {package}"
            );
        }
    }
}

#[test]
fn the_architecture_names_every_crate() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../ARCHITECTURE.md"
    ));
    let text = text.unwrap();
    for (name, _) in MAY_USE {
        assert!(
            text.contains(&format!("| {name} |")),
            "ARCHITECTURE.md does not name {name}"
        );
    }
}
