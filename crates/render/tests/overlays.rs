//! What kustomize makes of the cases in testdata/overlays, and what this renderer makes of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use stagegate_core::{Mark, Node, PathGlob};
use stagegate_manifest::{Format, Profile, Sources, decode, load};
use stagegate_render::{ExternalKustomize, Kustomize, LoadRestrictions, Renderer, Rendering, Tree};

fn overlays() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/overlays")
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(of)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// The cases, by `group/case`.
fn cases() -> BTreeMap<String, PathBuf> {
    let mut cases = BTreeMap::new();
    for group in folders(&overlays()) {
        for case in folders(&group) {
            let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
            cases.insert(format!("{}/{}", name(&group), name(&case)), case);
        }
    }
    cases
}

fn render(case: &Path) -> Rendering {
    render_in(&Tree::new(case).unwrap(), case)
}

fn render_in(tree: &Tree, case: &Path) -> Rendering {
    let flags = fs::read_to_string(case.join("flags")).unwrap_or_default();
    let mut restrictions = LoadRestrictions::default();
    if flags.contains("LoadRestrictionsNone") {
        restrictions
            .rules
            .push((PathGlob::new("**", Mark::NONE).unwrap(), true));
    }
    let renderer = Kustomize::new(ExternalKustomize::forbidden(), restrictions);
    renderer.render("overlay", tree)
}

/// What differs between kustomize's answer and ours; empty where nothing does.
fn difference(case: &Path) -> Option<String> {
    let rendering = render(case);
    let failures: Vec<String> = rendering
        .failures
        .iter()
        .map(|f| format!("{}: {}", f.path, f.message))
        .collect();
    let Ok(expected) = fs::read(case.join("expected.yaml")) else {
        return failures
            .is_empty()
            .then(|| "rendered, and kustomize refuses it".to_owned());
    };
    if !failures.is_empty() {
        return Some(format!("refused: {}", failures.join("; ")));
    }
    let sources = Sources::new();
    let file = sources.add(String::new(), decode(expected));
    let loaded = load(
        file,
        &sources.get(file).unwrap(),
        Format::Yaml,
        Profile::Apply,
    );
    assert!(
        loaded.problems.is_empty(),
        "{}: {:?}",
        case.display(),
        loaded.problems
    );
    let json = |node: &Node| serde_json::to_string(node).unwrap();
    let (expected, actual) = (loaded.documents, rendering.objects);
    for (i, actual) in actual.iter().enumerate() {
        let wanted = expected.get(i);
        if wanted != Some(&actual.node) {
            let wanted = wanted.map_or_else(|| "(nothing)".to_owned(), json);
            return Some(format!(
                "object {i}\n  expected {wanted}\n  actual   {}",
                json(&actual.node)
            ));
        }
    }
    (expected.len() != actual.len())
        .then(|| format!("{} objects instead of {}", actual.len(), expected.len()))
}

/// Known differences with their reasons.
fn known() -> BTreeMap<String, String> {
    let text = fs::read_to_string(overlays().join("differences.txt")).unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (case, reason) = line.split_once(": ").expect("case: reason");
            (case.to_owned(), reason.to_owned())
        })
        .collect()
}

#[test]
fn every_case_is_rendered_as_kustomize_renders_it() {
    let known = known();
    let cases = cases();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (name, case) in &cases {
        match (difference(case), known.contains_key(name)) {
            (Some(difference), false) => wrong.push(format!("{name}: {difference}")),
            (None, true) => wrong.push(format!(
                "{name}: no longer differs; take it out of differences.txt"
            )),
            _ => {}
        }
    }
    for name in known.keys().filter(|name| !cases.contains_key(*name)) {
        wrong.push(format!("{name} in differences.txt is no case"));
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// Whoever reads a refusal finds the line that is wrong, and what would be right.
#[test]
fn refusals_name_the_place() {
    let mut told = String::new();
    for (name, case) in cases() {
        if !case.join("error.txt").is_file() {
            continue;
        }
        let tree = Tree::new(&case).unwrap();
        let rendering = render_in(&tree, &case);
        told.push_str(&format!("{name}\n"));
        for failure in rendering.failures {
            let at = tree.sources().locate(failure.mark);
            let at = at.map_or_else(
                || failure.path.clone(),
                |at| format!("{}:{}:{}", at.path, at.line, at.column),
            );
            told.push_str(&format!("  {at}: {}\n", failure.message));
            if let Some(help) = failure.help {
                told.push_str(&format!("    = {help}\n"));
            }
        }
    }
    insta::assert_snapshot!(told);
}
