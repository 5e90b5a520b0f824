//! Rego as we evaluate it, held against what OPA answered.
//!
//! `testdata/rego/conformance` asks one question a file and records OPA's answer;
//! `testdata/rego/differences.txt` lists where ours is another, and what comes of it. With
//! `STAGEGATE_RECORD=1` our answers there are written anew, to be read before they are committed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stagegate_testkit::rego_answer;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rego")
}

/// By the name of its case: our answer, the effect, the explanation.
fn differences(text: &str) -> BTreeMap<&str, (&str, &str, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, answer, effect, why] = fields.as_slice() else {
                panic!("not four fields: {line}");
            };
            assert!(["harmless", "loud", "verdict"].contains(effect), "{line}");
            (*name, (*answer, *effect, *why))
        })
        .collect()
}

/// Errors are told in other words.
fn kind_of_answer(answer: &str) -> &str {
    if answer.starts_with("error") {
        "error"
    } else {
        answer
    }
}

fn is_same(a: &str, b: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    // Numbers that JSON's readers round are compared as they are written.
    let is_exact = |text: &str| {
        !text
            .split(|c: char| !c.is_ascii_digit())
            .any(|n| n.len() > 16)
    };
    let is_exact = is_exact(a) && is_exact(b);
    kind_of_answer(a) == kind_of_answer(b)
        || (is_exact && value(a).is_some() && value(a) == value(b))
}

#[test]
fn answers_are_those_of_opa_but_where_it_is_said() {
    let path = folder().join("differences.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let known = differences(&text);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder().join("conformance"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 100);
    let mut wrong = Vec::new();
    let mut recorded: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let mut different = 0;
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        let opa = text
            .lines()
            .find_map(|line| line.strip_prefix("# opa: "))
            .unwrap();
        let ours = rego_answer(name, &text);
        if is_same(&ours, opa) {
            if known.contains_key(name) {
                wrong.push(format!("{name}: no longer different: {ours}"));
            }
            continue;
        }
        different += 1;
        let (expected, effect, why) = known.get(name).copied().unwrap_or(("", "verdict", "?"));
        recorded.push(format!(
            "{name}\t{}\t{effect}\t{why}",
            kind_of_answer(&ours)
        ));
        if !is_same(&ours, expected) {
            wrong.push(format!("{name}: {ours}, OPA {opa}, expected {expected:?}"));
        }
    }
    if std::env::var_os("STAGEGATE_RECORD").is_some() {
        std::fs::write(&path, recorded.join("\n") + "\n").unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(different, known.len());
}

/// Every difference that changes verdicts without a word is in the table for users.
#[test]
fn the_table_names_every_difference() {
    let text = std::fs::read_to_string(folder().join("differences.txt")).unwrap();
    let table = std::fs::read_to_string(folder().join("../../docs/rego.md")).unwrap();
    for (name, (_, effect, _)) in differences(&text) {
        assert!(
            effect == "harmless" || table.contains(&format!("`{name}`")),
            "{name} is not in docs/rego.md"
        );
    }
}
