//! What a few lines may make of a kustomization has an end.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write as _;

use stagegate_render::{ExternalKustomize, Kustomize, LoadRestrictions, Renderer, Tree};

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n";

/// What is wrong with the kustomization in `overlay`; the objects of one MiB at most.
fn failures(files: &[(String, String)]) -> Vec<String> {
    let folder = support::folder_of(files.iter().map(|(path, text)| (path, text)));
    let tree = Tree::new(folder.path()).unwrap();
    let external = ExternalKustomize::forbidden();
    let mut renderer = Kustomize::new(external, LoadRestrictions::default());
    renderer.memory_limit = 1 << 20;
    let rendering = renderer.render("overlay", &tree);
    rendering.failures.into_iter().map(|f| f.message).collect()
}

fn file(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

/// Each level names the one below twice. `below` is what the lowest names.
fn levels(count: usize, below: &str) -> Vec<(String, String)> {
    let mut files = vec![
        file(
            "overlay/kustomization.yaml",
            &format!("resources: [../level-{count}]"),
        ),
        file(
            "level-0/kustomization.yaml",
            &format!("resources: [{below}]"),
        ),
        file("level-0/a.yaml", CONFIG_MAP),
    ];
    for i in 1..=count {
        for side in ["a", "b"] {
            let text = format!("namePrefix: {side}\nresources: [../level-{}]", i - 1);
            files.push((format!("level-{i}-{side}/kustomization.yaml"), text));
        }
        let text = format!("resources: [../level-{i}-a, ../level-{i}-b]");
        files.push((format!("level-{i}/kustomization.yaml"), text));
    }
    files
}

#[test]
fn bases_that_double_end() {
    assert_eq!(
        failures(&levels(60, "a.yaml")),
        ["with its bases, this makes more than 4 MiB of objects"]
    );
    // A circle at the end of very many ways is one mistake.
    let circle = failures(&levels(60, "../level-60"));
    assert!(circle.iter().all(|f| f.starts_with("cycle detected")) && circle.len() <= 100);
}

#[test]
fn a_chain_of_bases_ends() {
    let mut files = vec![file("overlay/kustomization.yaml", "resources: [../b-1000]")];
    for i in 1..=1000 {
        files.push((
            format!("b-{i}/kustomization.yaml"),
            format!("resources: [../b-{}]", i - 1),
        ));
    }
    assert_eq!(failures(&files), ["bases nest deeper than 256 levels"]);
}

#[test]
fn an_object_that_is_copied_into_itself_ends() {
    let mut doubling = String::from(
        "resources: [a.yaml]\npatches:\n  - target: {kind: ConfigMap}\n    patch: |-\n",
    );
    for i in 0..60 {
        let _ = writeln!(
            doubling,
            "      - {{op: copy, from: /data, path: /data/x{i}}}"
        );
    }
    let files = [
        file("overlay/kustomization.yaml", &doubling),
        file("overlay/a.yaml", CONFIG_MAP),
    ];
    assert_eq!(failures(&files), ["the object grows too large with this"]);

    let mut nesting = String::from("resources: [a.yaml]\nreplacements:\n");
    for _ in 0..200 {
        nesting.push_str(
            "  - source: {kind: ConfigMap, name: a, fieldPath: data}\n    targets: [{select: {kind: ConfigMap}, \
             fieldPaths: [data.x.y], options: {create: true}}]\n",
        );
    }
    let files = [
        file("overlay/kustomization.yaml", &nesting),
        file("overlay/a.yaml", CONFIG_MAP),
    ];
    let told = failures(&files);
    assert!(
        told[0].contains("nests too deep") || told[0].contains("MiB of objects"),
        "{told:?}"
    );
}
