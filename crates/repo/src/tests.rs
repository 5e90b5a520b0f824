use std::fs;

use stagegate_config::Config;
use stagegate_manifest::{Sources, decode};

use super::*;
use crate::stages::stage_of_folder;

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";

fn lay_out(files: &[(&str, &str)]) -> Layout {
    lay_out_with(files, "").unwrap()
}

fn lay_out_with(files: &[(&str, &str)], stages: &str) -> Result<Layout, LayoutError> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let config = if stages.is_empty() {
        Config::default()
    } else {
        let text = format!("apiVersion: stagegate.dev/v1alpha1\nkind: Config\nstages:\n{stages}");
        let sources = Sources::new();
        let file = sources.add("stagegate.yaml".to_owned(), decode(text.into()));
        Config::read(file, &sources.get(file).unwrap(), std::iter::empty()).unwrap()
    };
    discover(&Tree::new(folder.path()).unwrap(), None, &config)
}

/// `name: paths; objects, kustomizations`
fn summary(layout: &Layout) -> Vec<String> {
    layout
        .stages
        .iter()
        .map(|s| {
            let (paths, objects) = (s.paths.join(" "), s.objects.len());
            format!(
                "{}: {paths}; {objects}, {}",
                s.stage.name,
                s.kustomizations.join(" ")
            )
        })
        .collect()
}

fn fate<'l>(layout: &'l Layout, path: &str) -> &'l Fate {
    &layout.entries.iter().find(|e| e.path == path).unwrap().fate
}

#[test]
fn names_of_folders_are_stages() {
    for (folder, stage, place) in [
        ("environments/prod", "prod", "environments/prod"),
        (
            "environments/production/apps",
            "prod",
            "environments/production",
        ),
        (
            "kubernetes/overlays/staging",
            "staging",
            "kubernetes/overlays/staging",
        ),
        ("k8s/web/production", "prod", "k8s/web/production"),
        ("clusters/eu-1", "eu-1", "clusters/eu-1"),
        ("envs/prod-eu", "prod-eu", "envs/prod-eu"),
        (
            "clusters/eu-1/overlays/prod",
            "prod",
            "clusters/eu-1/overlays/prod",
        ),
        ("apps/web/staging/eu", "staging", "apps/web/staging"),
        ("apps/pr-42", "pr-42", "apps/pr-42"),
    ] {
        let (name, found) = stage_of_folder(folder).unwrap();
        assert_eq!(
            (name.name.as_str(), found.as_str()),
            (stage, place),
            "{folder}"
        );
    }
    for none in [
        ".",
        "base",
        "apps/web",
        "environments",
        "apps/prod-eu",
        "apps/developments",
    ] {
        assert!(stage_of_folder(none).is_none(), "{none}");
    }
}

#[test]
fn folders_of_one_stage_make_one_and_the_rest_is_shared() {
    let layout = lay_out(&[
        ("environments/production/a.yaml", POD),
        ("k8s/web/prod/b.yml", POD),
        (
            "k8s/web/dev/c.json",
            r#"{"apiVersion": "v1", "kind": "Pod"}"#,
        ),
        ("crds/d.yaml", POD),
    ]);
    assert_eq!(
        summary(&layout),
        [
            "shared: crds; 1, ",
            "dev: k8s/web/dev; 1, ",
            "prod: environments/production k8s/web/prod; 2, "
        ]
    );
}

#[test]
fn a_tree_without_stages_and_a_kustomization_are_one_stage() {
    assert_eq!(
        summary(&lay_out(&[("a.yaml", POD), ("b/c.yaml", POD)])),
        ["default: .; 2, "]
    );
    let layout = lay_out(&[
        ("kustomization.yaml", "resources: [a.yaml]"),
        ("a.yaml", POD),
        ("environments/prod/b.yaml", POD),
    ]);
    assert_eq!(summary(&layout), ["default: .; 0, ."]);
    assert!(matches!(
        fate(&layout, "environments/prod/b.yaml"),
        Fate::Skipped { .. }
    ));
}

#[test]
fn bases_patches_and_components_are_not_judged_by_themselves() {
    let layout = lay_out(&[
        ("base/kustomization.yml", "resources: [pod.yaml]"),
        ("base/pod.yaml", POD),
        ("base/dead.yaml", POD),
        (
            "overlays/prod/kustomization.yaml",
            "resources: [../../base]\npatches: [{path: p.yaml}]",
        ),
        ("overlays/prod/p.yaml", POD),
        (
            "overlays/dev/Kustomization",
            "bases: [../../base]\ncomponents: [../../c]",
        ),
        ("c/kustomization.yaml", "kind: Component"),
        (
            "unused/kustomization.yaml",
            "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1",
        ),
    ]);
    assert_eq!(
        summary(&layout),
        [
            "dev: overlays/dev; 0, overlays/dev",
            "prod: overlays/prod; 0, overlays/prod"
        ]
    );
    let by = |by: &str| Fate::Referenced { by: by.to_owned() };
    assert_eq!(
        fate(&layout, "base/pod.yaml"),
        &by("base/kustomization.yml")
    );
    assert_eq!(
        fate(&layout, "overlays/prod/p.yaml"),
        &by("overlays/prod/kustomization.yaml")
    );
    assert_eq!(
        fate(&layout, "c/kustomization.yaml"),
        &by("overlays/dev/Kustomization")
    );
    assert!(matches!(
        fate(&layout, "base/dead.yaml"),
        Fate::Skipped { .. }
    ));
    assert!(matches!(
        fate(&layout, "unused/kustomization.yaml"),
        Fate::Skipped { .. }
    ));
}

#[test]
fn a_circle_of_kustomizations_does_not_vanish() {
    let layout = lay_out(&[
        ("a/kustomization.yaml", "resources: [../b]"),
        ("b/kustomization.yaml", "resources: [../a]"),
    ]);
    assert_eq!(summary(&layout), ["default: .; 0, a"]);
}

#[test]
fn configured_stages_come_first_and_must_not_overlap() {
    let files = [
        ("one/a.yaml", POD),
        ("two/b.yaml", POD),
        ("environments/dev/c.yaml", POD),
    ];
    let layout = lay_out_with(
        &files,
        "  - {name: live, paths: [one]}\n  - {name: qa, paths: [\"t*\"]}\n",
    );
    assert_eq!(
        summary(&layout.unwrap()),
        [
            "shared: environments/dev; 1, ",
            "qa: two; 1, ",
            "prod: one; 1, "
        ]
    );
    let overlap = lay_out_with(
        &files,
        "  - {name: live, paths: [one]}\n  - {name: qa, paths: [\"o*/**\"]}\n",
    );
    let Err(LayoutError::Config(errors)) = overlap else {
        panic!("no error")
    };
    assert_eq!(
        errors[0].message,
        "the stages qa and prod both claim one/a.yaml"
    );
}

#[test]
fn data_is_left_alone_and_counted() {
    let layout = lay_out(&[
        (".github/workflows/ci.yaml", "on: push\njobs: {a: [\n"),
        ("chart/Chart.yaml", "name: web"),
        (
            "chart/templates/d.yaml",
            "{{- if .Values.x }}\na: b\n{{ end }}",
        ),
        ("chart/values-prod.yaml", "a: 1"),
        ("values.yaml", "a: [1"),
        ("patch.yaml", "- {op: add, path: /a, value: 1}"),
        ("tsconfig.json", "{ // comment\n}"),
        (
            "kind.yaml",
            "apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster",
        ),
        ("kubeconfig.yaml", "apiVersion: v1\nkind: Config"),
        (
            ".tool.yml",
            "apiVersion: tool.example.com/v1\nkind: Config\nvalidate: {}",
        ),
        ("empty.yaml", "# nothing\n"),
        ("crypt.yaml", "\0GITCRYPT\0\u{1}\u{2}"),
        ("template.yaml", "{{ range .x }}\n- {{ . }}\n"),
        ("docker-compose.yml", "services: {}"),
        ("app.yaml", POD),
    ]);
    assert!(layout.failures.is_empty(), "{:?}", layout.failures);
    assert_eq!(
        summary(&layout),
        ["shared: .; 1, ", "prod: chart/values-prod.yaml; 0, "]
    );
    let skipped = |path: &str| match fate(&layout, path) {
        Fate::Skipped { reason } => reason.clone(),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(skipped("patch.yaml"), "JSON 6902 patch");
    assert_eq!(
        skipped("kind.yaml"),
        "configuration of a tool, not for a cluster"
    );
    assert_eq!(
        skipped(".tool.yml"),
        "configuration of a tool, not for a cluster"
    );
    assert_eq!(skipped("crypt.yaml"), "encrypted by git-crypt");
    assert_eq!(skipped("template.yaml"), "a template");
    assert_eq!(skipped("chart/templates/d.yaml"), "part of the chart chart");
    assert_eq!(skipped("empty.yaml"), "empty");
}

#[test]
fn nothing_hides_behind_a_name_or_a_brace() {
    let layout = lay_out(&[
        ("values.yaml", POD),
        (".github/pod.yaml", POD),
        (
            "a.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ x }}\n  }\n",
        ),
        ("b.yaml", "a:\n\tb: 1\n"),
        ("c.yaml", "kind: Pod\nmetadata: {name: x}\n"),
        ("d.yaml", &format!("a: [\n---\n{POD}")),
    ]);
    let failed: Vec<&str> = layout.failures.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(failed, ["a.yaml", "b.yaml", "c.yaml", "d.yaml"]);
    assert_eq!(summary(&layout), ["default: .; 3, "]);
}

#[test]
fn what_git_ignores_is_left_out_in_a_work_tree_only() {
    let files = [
        ("a.yaml", POD),
        ("out/b.yaml", POD),
        (".gitignore", "out/\n"),
    ];
    assert_eq!(summary(&lay_out(&files)), ["default: .; 2, "]);
    let with_git = [
        ("a.yaml", POD),
        ("out/b.yaml", POD),
        (".gitignore", "out/\n"),
        (".git/HEAD", ""),
    ];
    assert_eq!(summary(&lay_out(&with_git)), ["default: .; 1, "]);
}

/// With git, where it is there: it alone writes an index.
#[test]
fn what_was_added_by_force_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(args).current_dir(folder.path()).output()
    };
    if git(&["init", "-q"]).is_err() {
        println!("not tested: git is not in PATH");
        return;
    }
    for (path, text) in [
        ("a.yaml", POD),
        ("out/b.yaml", POD),
        ("out/c.yaml", POD),
        (".gitignore", "out/\n"),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    assert!(git(&["add", "-f", "out/b.yaml"]).unwrap().status.success());
    let layout = discover(&Tree::new(folder.path()).unwrap(), None, &Config::default()).unwrap();
    assert_eq!(summary(&layout), ["default: .; 2, "]);
    // Also from a folder inside of the work tree.
    let inside = Tree::new(&folder.path().join("out")).unwrap();
    let layout = discover(&inside, None, &Config::default()).unwrap();
    assert!(layout.entries.iter().any(|e| e.path == "b.yaml"));
}
