//! Our reading against kubectl's, over every case in testdata/yaml.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value as Json;
use stagegate_core::Node;
use stagegate_manifest::{
    Format, Loaded, ProblemKind, Profile, Sources, decode, expand_list, load,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/yaml")
}

/// Readings that differ on purpose, `profile/case`, one a line with the reason before them.
fn known() -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder().join("differences.txt")).unwrap();
    let mut reason = String::new();
    let mut known = BTreeMap::new();
    for line in text.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            text.clone_into(&mut reason);
        } else if !line.is_empty() {
            known.insert(line.to_owned(), reason.clone());
        }
    }
    known
}

fn read(name: &str, profile: Profile) -> Loaded {
    let bytes = fs::read(folder().join("cases").join(name)).unwrap();
    let sources = Sources::new();
    let file = sources.add(name.to_owned(), decode(bytes));
    let format = if name.ends_with(".json") {
        Format::Json
    } else {
        Format::Yaml
    };
    load(file, &sources.get(file).unwrap(), format, profile)
}

/// Objects as text, in an order of their own: kustomize sorts them.
fn texts(nodes: impl Iterator<Item = Node>) -> Vec<String> {
    let mut texts: Vec<String> = nodes.map(|n| canonical(&n)).collect();
    texts.sort();
    texts
}

fn canonical(node: &Node) -> String {
    // serde_json's maps are sorted.
    let json: Json = serde_json::to_value(node).unwrap();
    json.to_string()
}

fn nesting(node: &Node) -> usize {
    let below = node
        .items()
        .iter()
        .chain(node.entries().iter().map(|e| &e.node));
    1 + below.map(nesting).max().unwrap_or(0)
}

/// What differs between our reading and kubectl's; none if nothing does.
fn difference(name: &str, profile: Profile, expected: &Json) -> Option<String> {
    let loaded = read(name, profile);
    let refused = loaded.problems.iter().any(|p| {
        p.kind == ProblemKind::Unreadable
            || (p.kind == ProblemKind::DuplicateKey && profile == Profile::Kustomize)
    });
    let objects: Vec<Node> = loaded.documents.into_iter().flat_map(expand_list).collect();
    if let Some(error) = expected.get("error") {
        // What kubectl read, and then refused as an object, is not for the reader to say.
        let refusals = [
            "unable to ",
            "*unstructured",
            "missing Resource metadata",
            "missing kind",
            "missing metadata.name",
            "may not add resource",
            "decodeList",
        ];
        if error
            .as_str()
            .is_some_and(|e| refusals.iter().any(|r| e.contains(r)))
        {
            return None;
        }
        let ours = texts(objects.into_iter());
        return (!refused).then(|| format!("kubectl: {error}\n    ours: {ours:?}"));
    }
    if let Some(depth) = expected.get("nested").and_then(Json::as_u64) {
        // Collections, not the scalar in the innermost.
        let ours = objects.first().map_or(0, nesting).saturating_sub(1);
        return (refused || ours as u64 != depth).then(|| format!("{ours} levels, not {depth}"));
    }
    let wanted = expected.get("objects").and_then(Json::as_array).unwrap();
    let wanted = texts(
        wanted
            .iter()
            .map(|o| serde_json::from_value(o.clone()).unwrap()),
    );
    let ours = texts(objects.into_iter());
    if refused {
        let why: Vec<_> = loaded.problems.iter().map(|p| p.message.as_str()).collect();
        return Some(format!("kubectl: {wanted:?}\n    ours: refused, {why:?}"));
    }
    (ours != wanted).then(|| format!("kubectl: {wanted:?}\n    ours:    {ours:?}"))
}

#[test]
fn manifests_mean_what_kubectl_takes_them_for() {
    let text = fs::read_to_string(folder().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Json> = serde_json::from_str(&text).unwrap();
    let mut known = known();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, readings) in expected.iter().filter(|(name, _)| !name.starts_with('_')) {
        for (key, profile) in [("apply", Profile::Apply), ("kustomize", Profile::Kustomize)] {
            compared += 1;
            let found = difference(name, profile, &readings[key]);
            match (found, known.remove(&format!("{key}/{name}"))) {
                (Some(difference), None) => wrong.push(format!("{key}/{name}\n    {difference}")),
                (None, Some(_)) => wrong.push(format!("{key}/{name}\n    is equal by now")),
                _ => {}
            }
        }
    }
    wrong.extend(
        known
            .into_keys()
            .map(|name| format!("{name}\n    is no case")),
    );
    assert!(compared > 1000);
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
