//! The real binary, in a scrubbed environment.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

/// Replays recordings instead of rendering: see scripts/record-kustomize.
const STAND_IN: &str = "testdata/bin";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    /// Everything that a person would see, for snapshots.
    fn screen(&self) -> String {
        let mut screen = format!("exit {}\n----- stdout\n{}", self.code, self.stdout);
        if !self.stderr.is_empty() {
            screen.push_str("----- stderr\n");
            screen.push_str(&self.stderr);
        }
        screen
    }

    fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Runs the command in the project's folder, with nothing in its environment but a PATH that holds
/// the stand-in for kustomize and what that needs.
fn stagegate(args: &[&str]) -> Run {
    let path = format!("{}:/usr/bin:/bin", project().join(STAND_IN).display());
    run(args, &path, None)
}

fn run(args: &[&str], path: &str, stdin: Option<&[u8]>) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stagegate"))
        .args(args)
        .current_dir(project())
        .env_clear()
        .env("PATH", path)
        .stdin(if stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(bytes) = stdin {
        child.stdin.take().unwrap().write_all(bytes).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with files, linted as text.
fn lint_files(files: &[(&str, &[u8])], args: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let path = folder.path().to_str().unwrap().to_owned();
    let mut all = vec!["lint", path.as_str()];
    all.extend(args);
    let mut run = stagegate(&all);
    run.stdout = run.stdout.replace(&path, "PATH");
    run.stderr = run.stderr.replace(&path, "PATH");
    run
}

const GOOD: &str = "apiVersion: v1
kind: Pod
metadata: {name: good}
spec:
  containers:
    - name: main
      image: example.com/good:1
      resources:
        limits: {cpu: 1, memory: 64Mi}
";

const BAD: &str = "apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers:
    - name: main
      image: example.com/bad:1
      resources:
        limits: {cpu: 1}
        requests: {memory: 64Mi}
";

#[test]
fn the_demonstration() {
    insta::assert_snapshot!(stagegate(&["lint", "testdata/repos/shop"]).screen());
}

#[test]
fn overlays_are_judged_as_rendered_and_shown_where_they_are_written() {
    insta::assert_snapshot!(stagegate(&["lint", "testdata/repos/overlays"]).screen());
}

#[test]
fn stages_as_the_last_segment() {
    insta::assert_snapshot!(stagegate(&["lint", "testdata/repos/apps"]).screen());
}

#[test]
fn a_flux_repository() {
    insta::assert_snapshot!(stagegate(&["lint", "testdata/repos/flux"]).screen());
}

#[test]
fn a_clean_repository() {
    insta::assert_snapshot!(stagegate(&["lint", "testdata/repos/clean"]).screen());
}

#[test]
fn data_beside_manifests() {
    insta::assert_snapshot!(stagegate(&["coverage", "testdata/repos/mixed"]).screen());
}

#[test]
fn the_json_report() {
    let run = stagegate(&["lint", "testdata/repos/overlays", "--format", "json"]);
    insta::assert_snapshot!(run.screen());
}

#[test]
fn rendered_objects_are_those_of_kustomize_with_their_origin() {
    let run = stagegate(&["render", "testdata/repos/overlays", "--stage", "dev"]);
    insta::assert_snapshot!(run.screen());
    let json = stagegate(&[
        "render",
        "testdata/repos/overlays/kubernetes/overlays/prod",
        "--format",
        "json",
    ])
    .json();
    let objects = json.as_array().unwrap();
    assert_eq!(objects.len(), 11);
    assert!(objects.iter().all(|o| o["stage"] == "default"));
    assert_eq!(
        objects
            .iter()
            .find(|o| o["object"]["kind"] == "Deployment")
            .unwrap()["origin"]["chain"],
        serde_json::json!([
            "kustomization.yml",
            "../../base/kustomization.yml",
            "../../base/catalog-deployment.yml"
        ])
    );
    assert!(!run.stdout.contains("config.kubernetes.io/origin"));
}

#[test]
fn policies_and_their_manuals() {
    insta::assert_snapshot!(stagegate(&["policies"]).screen());
    insta::assert_snapshot!(stagegate(&["explain", "resource-limits"]).screen());
    insta::assert_snapshot!(stagegate(&["explain", "resource-limit"]).screen());
    let table = stagegate(&["policies", "--format", "json"]).json();
    let ids: Vec<&str> = table
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert!(ids.is_sorted() && ids.contains(&"plain-secret"), "{ids:?}");
}

#[test]
fn without_a_renderer_the_result_is_incomplete() {
    let forbidden = stagegate(&["lint", "testdata/repos/plugins", "--no-external"]);
    insta::assert_snapshot!(forbidden.screen());
    let absent = run(&["lint", "testdata/repos/plugins"], "/nonexistent", None);
    assert_eq!(absent.code, 2);
    assert!(
        absent.stdout.contains("install kustomize"),
        "{}",
        absent.stdout
    );
    let json = run(
        &["lint", "testdata/repos/plugins", "--format=json"],
        "/nonexistent",
        None,
    );
    assert_eq!(json.json()["errors"].as_array().unwrap().len(), 2);
    assert_eq!(json.json()["summary"]["unrendered"], 2);
    assert_eq!(json.code, 2);
}

/// What is left to kustomize comes back with the places of the user's own files.
#[test]
fn what_is_left_to_a_program_is_located_all_the_same() {
    let run = stagegate(&["lint", "testdata/repos/plugins"]);
    insta::assert_snapshot!(run.screen());
}

#[test]
fn exit_codes_say_what_happened() {
    let good = ("good.yaml", GOOD.as_bytes());
    let bad = ("bad.yaml", BAD.as_bytes());
    let broken = ("broken.yaml", b"a: [1\n".as_slice());
    assert_eq!(lint_files(&[good], &[]).code, 0);
    assert_eq!(lint_files(&[good, bad], &[]).code, 1);
    // 2 wins over 1, and what was found is printed all the same.
    let both = lint_files(&[good, bad, broken], &[]);
    insta::assert_snapshot!(both.screen());
    assert_eq!(both.code, 2);
    // Neither a single policy nor a stage switches off what could not be judged.
    assert_eq!(
        lint_files(&[good, broken], &["--policy", "resource-requests"]).code,
        2
    );
    assert_eq!(
        lint_files(&[bad], &["--policy", "resource-requests"]).code,
        0
    );
    let config = b"apiVersion: stagegate.dev/v1alpha1\nkind: Config\npolicies:\n  resource-limits: {enforcement: warn}\n";
    let config = ("stagegate.yaml", config.as_slice());
    assert_eq!(lint_files(&[bad, config], &[]).code, 0);
    assert_eq!(lint_files(&[bad, config], &["--strict"]).code, 1);
}

#[test]
fn never_green_because_nothing_was_looked_at() {
    let values = ("values.yaml", b"a: 1\n".as_slice());
    let nothing = lint_files(&[values], &[]);
    insta::assert_snapshot!(nothing.screen());
    assert_eq!(nothing.code, 2);
    assert_eq!(lint_files(&[], &[]).code, 2);
    assert_eq!(
        lint_files(&[], &["--format", "json"]).json()["errors"][0]["code"],
        "no-objects"
    );
    assert_eq!(stagegate(&["lint", "no/such/folder"]).code, 2);
    assert_eq!(stagegate(&["render", "scripts"]).code, 2);
}

#[test]
fn mistakes_in_the_configuration_are_located() {
    let config = b"apiVersion: stagegate.dev/v1alpha1
kind: Config
stages:
  - name: dev
    path: [environments/dev]
policies:
  resource-limit:
    enforcement: warn
  resource-limits:
    parameters: {limit: [memory]}
";
    // Unknown keys are found first: names of policies are for the engine to know.
    let run = lint_files(&[("stagegate.yaml", config.as_slice())], &[]);
    insta::assert_snapshot!(run.screen());
    let fixed = String::from_utf8(config.to_vec())
        .unwrap()
        .replace("path:", "paths:");
    let run = lint_files(&[("stagegate.yaml", fixed.as_bytes())], &[]);
    insta::assert_snapshot!(run.screen());
    let unknown = stagegate(&["lint", "testdata/repos/shop", "--policy", "resource-limit"]);
    insta::assert_snapshot!(unknown.screen());
    let unknown = stagegate(&["lint", "testdata/repos/shop", "--stage", "prd"]);
    insta::assert_snapshot!(unknown.screen());
}

#[test]
fn one_stage_by_its_name_or_an_alias() {
    for name in ["prod", "production", "live"] {
        let json = stagegate(&[
            "lint",
            "testdata/repos/shop",
            "--stage",
            name,
            "--format=json",
        ])
        .json();
        assert_eq!(json["stages"].as_array().unwrap().len(), 1);
        assert_eq!(json["stages"][0]["name"], "prod");
        assert!(
            json["findings"]
                .as_array()
                .unwrap()
                .iter()
                .all(|f| f["stage"] == "prod")
        );
    }
}

#[test]
fn formats_go_where_they_are_sent_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let json_path = folder.path().join("report.json");
    let text_path = folder.path().join("report.txt");
    let text = stagegate(&["lint", "testdata/repos/shop"]);
    let json = stagegate(&["lint", "testdata/repos/shop", "--format", "json"]);
    assert_eq!((text.code, json.code), (1, 1));
    let both = stagegate(&[
        "lint",
        "testdata/repos/shop",
        "--format",
        "json",
        "--output",
        json_path.to_str().unwrap(),
        "--format",
        "text",
    ]);
    assert_eq!(both.stdout, text.stdout);
    assert_eq!(fs::read_to_string(&json_path).unwrap(), json.stdout);
    let written = stagegate(&[
        "lint",
        "testdata/repos/shop",
        "--output",
        text_path.to_str().unwrap(),
        "--format",
        "text",
    ]);
    assert_eq!(written.stdout, "");
    assert_eq!(fs::read_to_string(&text_path).unwrap(), text.stdout);
    let twice = stagegate(&[
        "lint",
        "testdata/repos/shop",
        "--format",
        "json",
        "--format",
        "text",
    ]);
    assert_eq!(twice.code, 2);
}

#[test]
fn two_runs_are_equal_with_any_number_of_threads() {
    let report = |jobs: &str| {
        stagegate(&["lint", "testdata/repos", "--format", "json", "--jobs", jobs]).stdout
    };
    let first = report("1");
    assert!(first.len() > 10_000);
    for jobs in ["1", "2", "8"] {
        assert_eq!(first, report(jobs));
    }
}

#[test]
fn colors_are_for_terminals() {
    let plain = stagegate(&["lint", "testdata/repos/shop"]);
    assert!(!plain.stdout.contains('\u{1b}'));
    let colored = stagegate(&["lint", "testdata/repos/shop", "--color", "always"]);
    assert!(colored.stdout.contains('\u{1b}'));
}

#[test]
fn standard_input_is_one_stage() {
    let run = run(&["lint", "-"], "/nonexistent", Some(BAD.as_bytes()));
    insta::assert_snapshot!(run.screen());
}

#[test]
fn hostile_files_are_located_errors_and_lose_nothing_beside_them() {
    let deep_flow = "[".repeat(100_000);
    let deep_block = format!("a:\n{}b", "- ".repeat(100_000));
    let deep_json = format!("{{\"a\": {}", "[".repeat(100_000));
    let bomb: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((1..10).map(|i| {
            let item = format!("*a{}", i - 1);
            format!("a{i}: &a{i} [{}]\n", [item.as_str(); 9].join(", "))
        }))
        .collect();
    let mut files: Vec<(&str, &[u8])> = vec![
        ("bad.yaml", BAD.as_bytes()),
        ("bomb.yaml", bomb.as_bytes()),
        ("deep-block.yaml", deep_block.as_bytes()),
        ("deep-flow.yaml", deep_flow.as_bytes()),
        ("deep.json", deep_json.as_bytes()),
        (
            "duplicate.yaml",
            b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nkind: Pod\n",
        ),
        ("nul.yaml", b"a: \0\n"),
        ("tabs.yaml", b"a:\n\tb: 1\n"),
        ("utf8.yaml", b"a: 1\nb: \xff\n"),
    ];
    files.reverse();
    // JSON that is no manifest is left alone, so this one says that it is.
    let json = format!("{{\"apiVersion\": \"v1\", \"kind\": {}", &deep_json[6..]);
    files.retain(|(name, _)| *name != "deep.json");
    files.push(("deep.json", json.as_bytes()));
    let run = lint_files(&files, &[]);
    assert_eq!(run.code, 2);
    let shown: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| line.starts_with("error") || line.trim_start().starts_with("-->"))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert!(run.stdout.contains("sets no memory limit"));
}

#[test]
fn a_reader_that_leaves_early_changes_no_exit_code() {
    let many: String = (0..3000)
        .map(|i| format!("---\n{}", BAD.replace("bad", &format!("b{i}"))))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("many.yaml"), many).unwrap();
    fs::write(folder.path().join("other.yaml"), GOOD).unwrap();
    for (broken, code) in [(false, 1), (true, 2)] {
        if broken {
            fs::write(folder.path().join("broken.yaml"), "a: [").unwrap();
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_stagegate"))
            .arg("lint")
            .arg(folder.path())
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn nothing_in_a_name_reaches_the_terminal_or_the_stream() {
    let bad = BAD.replace("{name: bad}", r#"{name: "p\e[31m\a\r\nx\u202e"}"#);
    let files = [(
        "environments/x\u{1b}[31m/a\n---\nkind: Evil #.yaml",
        bad.as_bytes(),
    )];
    let run = lint_files(&files, &[]);
    assert_eq!(run.code, 1);
    let active = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!run.stdout.contains(active), "{}", run.stdout);
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join(files[0].0.rsplit('/').next().unwrap()),
        GOOD,
    )
    .unwrap();
    let rendered = stagegate(&["render", folder.path().to_str().unwrap()]);
    assert!(
        !rendered.stdout.contains("\nkind: Evil"),
        "{}",
        rendered.stdout
    );
}

#[test]
fn what_kubectl_refuses_is_not_passed() {
    let cut = GOOD.replace("spec:", "---\nspec:");
    for text in [
        cut.as_str(),
        "apiVersion: v1\nkind: N\nmetadata: {name: a}\nspec: {}\n",
        "apiVersion: 1\nkind: Pod\nmetadata: {name: a}\n",
        "apiVersion: v1\nkind: List\nitems: {a: b}\n",
        "apiVersion: v1\nkind: List\nitems: [foo, {a: b}]\n",
        "metadata: {name: a}\nspec: {}\n",
    ] {
        let run = lint_files(
            &[("good.yaml", GOOD.as_bytes()), ("a.yaml", text.as_bytes())],
            &[],
        );
        assert_eq!(run.code, 2, "{text}\n{}", run.stdout);
        assert!(run.stdout.contains("a.yaml:"), "{}", run.stdout);
    }
}

#[test]
fn a_kustomization_never_reaches_the_network() {
    let plugin = "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: a}\nfiles: [\"x=http://127.0.0.1:9/x\"]\n";
    let inline = format!(
        "generators:\n  - |-\n    {}\n",
        plugin.trim_end().replace('\n', "\n    ")
    );
    for files in [
        vec![
            (
                "kustomization.yaml",
                "resources: [\"http://127.0.0.1:9/r.yaml\"]",
            ),
            ("http:/127.0.0.1:9/r.yaml", GOOD),
        ],
        vec![(
            "kustomization.yaml",
            "resources: [\"github.com/acme/base?ref=v1\"]",
        )],
        vec![
            ("kustomization.yaml", "generators: [g.yaml]"),
            ("g.yaml", plugin),
        ],
        vec![("kustomization.yaml", inline.as_str())],
        vec![(
            "kustomization.yaml",
            "configMapGenerator: [{name: a, files: [\"k=https://example.com/x\"]}]",
        )],
    ] {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(p, t)| (*p, t.as_bytes())).collect();
        let run = lint_files(&files, &[]);
        assert_eq!(run.code, 2);
        assert!(
            run.stdout.contains("does not use the network"),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn a_stage_that_is_not_there_is_a_mistake_in_the_configuration() {
    for (stages, message) in [
        ("{prd: {enforcement: deny}}", "there is no stage \"prd\""),
        (
            "{prod: {enforcement: deny}, production: {enforcement: off}}",
            "stands twice",
        ),
    ] {
        let config = format!(
            "apiVersion: stagegate.dev/v1alpha1\nkind: Config\npolicies:\n  resource-limits: {{stages: {stages}}}\n"
        );
        let files = [
            ("stagegate.yaml", config.as_bytes()),
            ("overlays/prod/a.yaml", GOOD.as_bytes()),
        ];
        let run = lint_files(&files, &[]);
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains(message), "{}", run.stderr);
    }
}

#[cfg(unix)]
#[test]
fn links_pipes_and_locked_folders_lose_nothing_beside_them() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("good.yaml"), GOOD).unwrap();
    symlink("good.yaml", path("same.yaml")).unwrap();
    symlink(".", path("loop")).unwrap();
    let pipe = Command::new("mkfifo")
        .arg(path("pipe.yaml"))
        .status()
        .unwrap();
    assert!(pipe.success());
    let lint = || stagegate(&["lint", folder.path().to_str().unwrap()]);
    // The same object under two names is applied twice.
    assert!(lint().stdout.contains("2 objects"), "{}", lint().stdout);
    assert!(lint().stdout.contains("1 deny"), "{}", lint().stdout);
    assert!(lint().stdout.contains("duplicate-object"));
    // Argo CD refuses a repository with links that lead out of it.
    symlink("/etc/hosts", path("out.yaml")).unwrap();
    symlink("nowhere", path("dangling.yaml")).unwrap();
    let run = lint();
    assert_eq!(run.code, 2);
    assert!(
        run.stdout.contains("2 could not be judged"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_large_crd_is_read_whole() {
    let mut crd = String::from(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b.c}\nspec:\n  properties:\n",
    );
    let mut count = 0;
    while crd.len() < 4 << 20 {
        count += 1;
        crd.push_str(&format!(
            "    field{count}:\n      type: string\n      description: |-\n        A field of a large resource, number {count}.\n"
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("crd.yaml"), crd).unwrap();
    let json = stagegate(&[
        "render",
        folder.path().to_str().unwrap(),
        "--format",
        "json",
    ])
    .json();
    let properties = json[0]["object"]["spec"]["properties"].as_object().unwrap();
    assert_eq!(properties.len(), count);
    let last = &properties[&format!("field{count}")]["description"];
    assert_eq!(
        last,
        &format!("A field of a large resource, number {count}.")
    );
}

/// The recordings are those of the kustomize that is here, if one is, and asking it for origins
/// changes nothing else of what it renders.
#[test]
fn a_real_kustomize_gives_what_was_recorded() {
    let path = std::env::var("PATH").unwrap_or_default();
    let program = [("kustomize", "build"), ("kubectl", "kustomize")]
        .into_iter()
        .find(|(name, _)| std::env::split_paths(&path).any(|f| f.join(name).is_file()));
    let Some((program, argument)) = program else {
        println!("not compared: neither kustomize nor kubectl is in PATH");
        return;
    };
    let objects = |json: &Json| -> Vec<Json> {
        json.as_array()
            .unwrap()
            .iter()
            .map(|o| o["object"].clone())
            .collect()
    };
    for repo in ["overlays", "apps", "clean", "flux", "mixed"] {
        let folder = format!("testdata/repos/{repo}");
        let args = ["render", folder.as_str(), "--format", "json"];
        assert_eq!(
            run(&args, &path, None).json(),
            stagegate(&args).json(),
            "{repo}"
        );
    }
    for root in [
        "overlays/kubernetes/overlays/dev",
        "flux/apps/staging",
        "mixed/deploy",
    ] {
        let folder = format!("testdata/repos/{root}");
        let direct = Command::new(program)
            .args([argument, &folder])
            .current_dir(project())
            .output()
            .unwrap();
        assert!(direct.status.success(), "{root}");
        let read = run(
            &["render", "-", "--format", "json"],
            &path,
            Some(&direct.stdout),
        )
        .json();
        let ours = run(&["render", &folder, "--format", "json"], &path, None).json();
        assert_eq!(objects(&read), objects(&ours), "{root}");
    }
}

/// A Deployment that sets neither limits nor requests, with lines of metadata.
fn deployment(metadata: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: api\n  namespace: shop\n{metadata}\
         spec:\n  selector: {{matchLabels: {{app: api}}}}\n  template:\n    metadata: {{labels: {{app: api}}}}\n    \
         spec:\n      containers:\n        - name: api\n          image: api:1\n"
    )
}

const HEAD: &str = "apiVersion: stagegate.dev/v1alpha1\nkind: Config\n";

fn lint_configured(config: &str, object: &str, args: &[&str]) -> Run {
    let config = format!("{HEAD}policies: {{network-policy: {{enforcement: off}}}}\n{config}");
    let files = [
        ("stagegate.yaml", config.as_bytes()),
        ("environments/dev/api.yaml", object.as_bytes()),
        ("environments/prod/api.yaml", object.as_bytes()),
    ];
    let is_dated = args.iter().any(|arg| arg.starts_with("--today"));
    let today: &[&str] = if is_dated {
        &[]
    } else {
        &["--today=2026-06-30"]
    };
    lint_files(&files, &[today, args].concat())
}

fn statuses(run: &Run) -> Vec<String> {
    let report = run.json();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|f| {
            let text = |key: &str| f[key].as_str().unwrap().to_owned();
            format!("{} {} {}", text("stage"), text("policy"), text("status"))
        })
        .collect()
}

#[test]
fn waivers_accept_findings_for_a_reason_and_a_time() {
    let waivers = "waivers:
  - policies: [resource-*]
    objects: [{kind: Deployment, name: \"ap?\", namespace: shop}]
    stages: [production]
    reason: known
    expires: 2026-06-30
";
    let json = lint_configured(waivers, &deployment(""), &["--format=json"]);
    assert_eq!(json.code, 1);
    let found = statuses(&json);
    let of = |stage: &str, status: &str| {
        let ends = |f: &&String| f.starts_with(stage) && f.ends_with(status);
        found.iter().filter(ends).count()
    };
    assert_eq!(
        (of("dev", "active"), of("prod", "waived")),
        (4, 4),
        "{found:?}"
    );
    assert_eq!(json.json()["summary"]["waived"], 4);
    let waived = &json.json()["findings"].as_array().unwrap().clone();
    let waived = waived.iter().find(|f| f["status"] == "waived").unwrap();
    assert_eq!(waived["waiver"]["reason"], "known");
    // The day after the last day the findings count again, and why is said.
    let late = lint_configured(
        waivers,
        &deployment(""),
        &["--format=json", "--today=2026-07-01"],
    );
    assert_eq!(late.json()["summary"]["waived"], 0);
    assert!(statuses(&late).contains(&"shared waiver-expired active".to_owned()));
}

#[test]
fn waivers_that_waive_nothing_are_told_in_full_runs() {
    let waivers = "waivers:
  - {policies: [resource-limits], objects: [{name: other}], reason: gone}
  - {policies: [resource-limits], objects: [{name: api}]}
  - {policies: [resource-limits], objects: [{name: api}], reason: old, expires: 2025-01-01}
";
    let run = lint_configured(waivers, &deployment(""), &[]);
    insta::assert_snapshot!(run.stdout);
    let part = lint_configured(waivers, &deployment(""), &["--stage=prod"]);
    assert!(!part.stdout.contains("waiver-unused"), "{}", part.stdout);
    assert!(part.stdout.contains("waiver-expired"), "{}", part.stdout);
}

#[test]
fn waivers_of_paths_hold_offline_only_and_say_so() {
    let waivers = "waivers:
  - {policies: [resource-limits, resource-requests], paths: [\"environments/**\"], reason: vendored}
";
    let run = lint_configured(waivers, &deployment(""), &[]);
    assert_eq!(run.code, 0, "{}", run.stdout);
    insta::assert_snapshot!(run.stdout);
}

#[test]
fn annotations_waive_what_the_stage_lets_them() {
    let annotated = deployment(
        "  annotations:\n    stagegate.dev/waive: resource-limits, resource-requests, image-tags\n    \
         stagegate.dev/reason: legacy\n",
    );
    let run = lint_configured("", &annotated, &["--format=json"]);
    let found = statuses(&run);
    // Nothing in production, all elsewhere; what does not exist is told in both.
    assert_eq!(
        found
            .iter()
            .filter(|f| *f == "dev resource-limits waived")
            .count(),
        2
    );
    assert_eq!(
        found
            .iter()
            .filter(|f| *f == "prod resource-limits active")
            .count(),
        2
    );
    insta::assert_snapshot!(lint_configured("", &annotated, &["--policy=waiver-unused"]).stdout);
    let allowed = "stages:
  - {name: dev, paths: [environments/dev], annotationWaivers: none}
  - {name: prod, paths: [environments/prod], annotationWaivers: [resource-limits, resource-requests]}
";
    let found = statuses(&lint_configured(allowed, &annotated, &["--format=json"]));
    assert!(
        found.contains(&"dev resource-limits active".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"prod resource-limits waived".to_owned()),
        "{found:?}"
    );
    // Without a reason nothing is waived.
    let bare = deployment("  annotations: {stagegate.dev/waive: resource-limits}\n");
    let found = statuses(&lint_configured("", &bare, &["--format=json"]));
    assert!(
        found.contains(&"dev resource-limits active".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"dev waiver-without-reason active".to_owned()),
        "{found:?}"
    );
}

#[test]
fn seed_sets_choose_what_runs() {
    let code = |extends: &str| lint_configured(extends, &deployment(""), &[]).code;
    assert_eq!(code("extends: [recommended]\n"), 1);
    assert_eq!(code("extends: [strict]\n"), 1);
    assert_eq!(code("extends: [none]\n"), 0);
    assert_eq!(code("extends: []\n"), 0);
    // Nothing switches off what could not be judged.
    assert_eq!(lint_configured("extends: [none]\n", "a: [", &[]).code, 2);
}

#[test]
fn what_is_declared_as_not_judged_is_no_error() {
    let config = "unrendered: [{paths: [environments/prod], reason: by hand until OPS-31}]\n";
    let run = lint_configured(config, "a: [", &[]);
    assert_eq!(run.code, 2);
    assert!(!run.stdout.contains("environments/prod"), "{}", run.stdout);
}

#[test]
fn external_objects_are_there_for_policies_that_ask() {
    let stateful = deployment("").replace("Deployment", "StatefulSet");
    let with = |config: &str| {
        let args = ["--policy=pod-disruption-budget", "--format=json"];
        lint_configured(config, &stateful, &args).json()["summary"]["deny"].clone()
    };
    assert_eq!(with(""), 1);
    let external = "external:
  - {apiVersion: policy/v1, kind: PodDisruptionBudget, name: all, namespace: shop, spec: {selector: {}}}
";
    assert_eq!(with(external), 0);
}

#[test]
fn what_lies_elsewhere_makes_a_denial_a_warning() {
    let application = "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: redis, namespace: argocd}
spec:
  destination: {namespace: shop}
  source: {repoURL: https://charts.example.com, chart: redis, targetRevision: 1.0.0}
";
    let stateful = deployment("").replace("Deployment", "StatefulSet");
    let objects = format!("{stateful}---\n{application}");
    let args = ["--policy=pod-disruption-budget", "--stage=prod"];
    let run = lint_configured("", &objects, &args);
    assert_eq!(run.code, 0, "{}", run.stdout);
    assert!(
        run.stdout
            .contains("it may come from the chart redis of https://charts.example.com"),
        "{}",
        run.stdout
    );
    let elsewhere = objects.replace(
        "destination: {namespace: shop}",
        "destination: {namespace: db}",
    );
    assert_eq!(lint_configured("", &elsewhere, &args).code, 1);
}

#[test]
fn the_schema_of_the_configuration() {
    let schema = stagegate(&["config-schema"]).json();
    let limits = &schema["properties"]["policies"]["properties"]["resource-limits"];
    assert_eq!(
        limits["properties"]["parameters"]["properties"]["limits"]["default"],
        serde_json::json!(["memory", "cpu"])
    );
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn recorded_reviews_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let review = |name: &str, namespace: &str, object: &str| {
        let body = format!(
            "{{\"apiVersion\": \"admission.k8s.io/v1\", \"kind\": \"AdmissionReview\", \"request\": \
             {{\"uid\": \"1\", \"operation\": \"CREATE\", \"namespace\": \"{namespace}\", \
             \"userInfo\": {{\"username\": \"jane\"}}, \"object\": {object}, \"oldObject\": null}}}}"
        );
        fs::write(folder.path().join(name), body).unwrap();
    };
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
                  "spec": {"containers": [{"name": "a"}]}}"#;
    review("a.json", "shop-prod", pod);
    review("b.json", "shop-dev", pod);
    let config = format!(
        "{HEAD}stages:\n  - {{name: dev, enforcement: warn, namespaces: [\"*-dev\"]}}\n  \
         - {{name: prod, namespaces: [\"*-prod\"]}}\n"
    );
    let config_path = folder.path().join("stagegate.yaml");
    fs::write(&config_path, config).unwrap();
    let (path, config) = (
        folder.path().to_str().unwrap(),
        config_path.to_str().unwrap(),
    );
    let run = stagegate(&["replay", path, "--config", config]);
    assert_eq!(run.code, 1);
    assert!(
        run.stdout
            .contains("denied   a.json  CREATE Pod shop-prod/a in prod"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("allowed  b.json  CREATE Pod shop-dev/a in dev"),
        "{}",
        run.stdout
    );
    let json = stagegate(&["replay", path, "--config", config, "--format=json"]).json();
    assert_eq!(json[0]["response"]["response"]["status"]["code"], 403);
    assert_eq!(json[1]["response"]["response"]["allowed"], true);
    // What cannot be read is an error, and the others are answered all the same.
    fs::write(folder.path().join("c.json"), "{\"password\": \"hunter2\"}").unwrap();
    let run = stagegate(&["replay", path]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("c.json") && !run.stderr.contains("hunter2"),
        "{}",
        run.stderr
    );
    assert!(run.stdout.contains("2 reviews, 2 denied"), "{}", run.stdout);
}

/// Every way in which a secret may stand in a repository, right or wrong.
fn places_of_secrets(value: &str) -> Vec<(&'static str, String)> {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(value);
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\n";
    vec![
        (
            "a.yaml",
            format!("{secret}stringData:\n  password: \"{value}\"\n"),
        ),
        ("b.yaml", format!("{secret}data:\n  password: {encoded}\n")),
        (
            "c.yaml",
            format!("{secret}stringData:\n  password: \"{value}\n  x: [\n"),
        ),
        (
            "d.yaml",
            format!("{secret}stringData:\n  password: *{value}\n"),
        ),
        (
            "e.yaml",
            format!("{secret}stringData:\n  password: !!int {value}\n"),
        ),
        (
            "f.yaml",
            format!("{secret}stringData:\n  password: |-\n    {value}\n  on: {value}\n"),
        ),
        ("g.yaml", format!("{secret}stringData:\n\t{value}\n")),
        (
            "h.yaml",
            format!("{secret}stringData: {{a: {value}, b: on}}\nstringData: {{a: {value}}}\n"),
        ),
        (
            "i.yaml",
            format!("{secret}data: {value}\n---\n{value}: 1\n"),
        ),
        (
            "j.json",
            format!(
                "{{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {{\"name\": \"j\"}}, \"stringData\": {{\"password\": \"{value}\""
            ),
        ),
        (
            "k.yaml",
            format!(
                "{secret}metadata: {{name: k, annotations: {{kubectl.kubernetes.io/last-applied-configuration: '{{\"stringData\": \"{value}\"}}'}}}}\nstringData: {{password: {value}}}\n"
            ),
        ),
        (".env", format!("PASSWORD={value}\n")),
        ("api/.env.prod", format!("export TOKEN='{value}\nA=1")),
        (
            "x/kustomization.yaml",
            format!(
                "secretGenerator:\n  - name: a\n    literals: [password={value}]\n    files: [gone]\n"
            ),
        ),
        (
            "y/kustomization.yaml",
            format!(
                "secretGenerator:\n  - name: a\n    literals: [{value}]\n    envs: [gone.env]\nresources: [nothing]\n"
            ),
        ),
        (
            "z/kustomization.yaml",
            format!(
                "patches:\n  - patch: |-\n      kind: Secret\n      stringData: {{a: {value}}}\n    path: gone\nresources: [gone]\n"
            ),
        ),
        (
            "q/p.yaml",
            format!("- op: add\n  path: /data/password\n  value: {value}\n - op: remove\n"),
        ),
        ("q/s.yaml", secret.to_owned()),
        (
            "q/kustomization.yaml",
            "resources: [s.yaml]\npatches: [{target: {kind: Secret}, path: p.yaml}]\n".to_owned(),
        ),
        (
            "r/p.yaml",
            format!(
                "apiVersion: v1\nkind: NotUsed\nmetadata: {{name: a}}\nstringData:\n  password: {value}\n  flag: yes\n"
            ),
        ),
        (
            "s/config.yaml",
            format!("password: {value}\nflag: yes\nx: [\n"),
        ),
        (
            "s/env.properties",
            format!("password: {value}\nDB_PASSWORD={value}\n"),
        ),
        (
            "s/kustomization.yaml",
            "secretGenerator: [{name: a, files: [config.yaml], envs: [env.properties]}]\n"
                .to_owned(),
        ),
        (
            "t.yaml",
            format!(
                "apiVersion: v1\nkind: secret\nmetadata: {{name: a}}\nstringData:\n  password: {value}\n  flag: yes\n"
            ),
        ),
        (
            "u/.env",
            format!(
                "KEY=-----BEGIN RSA PRIVATE KEY-----\n{value}\n-----END\nPASSWORD=a {value} # {value}\nset X: {value}\n#OLD={value}\nTOKEN=\"a\"{value}\n"
            ),
        ),
        (
            "v.json",
            format!(
                "{{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[{{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"v\"}},\"data\":\"{value}\"}},{{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"v\"}}}}]}}"
            ),
        ),
        (
            "w.yaml",
            format!(
                "{secret}stringdata:\n  password: {value}\nspec: {{password: {value}}}\nstringData:\n  x: yes\n  y: !{value} z # {value}\n  z: on\n"
            ),
        ),
        (
            ".github/workflows/a.yml",
            format!(
                "jobs:\n  a:\n    steps:\n      - run: |\n          kubectl create secret generic db --from-literal=password={value} --token={value}\n          kubectl apply -f https://me:{value}@x/y\n"
            ),
        ),
        (
            "x.yaml",
            format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: a}}\nspec: {{source: {{repoURL: \"https://me:{value}@example.com/x.git\", path: nope}}}}\n"
            ),
        ),
        (
            "k/kustomization.yaml",
            format!(
                "resources: [\"https://{value}@example.com/x.yaml\", \"https://x/y?token={value}\"]\nsecretGenerator: [{{name: a, envs: [password={value}]}}]\n"
            ),
        ),
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]

    /// No report, error or log holds a secret, whatever the file that it stands in is like.
    #[test]
    fn no_output_holds_a_secret(value in "[a-z][A-Za-z0-9]{9,18}") {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(&value);
        let places = places_of_secrets(&value);
        let files: Vec<(&str, &[u8])> = places.iter().map(|(n, t)| (*n, t.as_bytes())).collect();
        for args in [&["--format=text"][..], &["--format=json"], &["--no-external"]] {
            let run = lint_files(&files, args);
            for text in [&run.stdout, &run.stderr] {
                proptest::prop_assert!(!text.contains(&value), "{}", text);
                proptest::prop_assert!(!text.contains(&encoded), "{}", text);
            }
        }
    }
}

#[test]
fn a_secret_that_nothing_deploys_is_in_git_all_the_same() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: correct-horse}\n";
    let files = [
        (
            "base/kustomization.yaml",
            "resources: [cm.yaml]\n".as_bytes(),
        ),
        (
            "base/cm.yaml",
            b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        ),
        ("base/secret.yaml", secret.as_bytes()),
    ];
    let run = lint_files(&files, &["--no-external"]);
    assert!(
        run.stdout.contains("base/secret.yaml:4:24"),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains("correct-horse"), "{}", run.stdout);
}

#[test]
fn a_script_in_scripts_and_a_long_file_of_variables_end() {
    let nested = format!(
        "jobs:\n  a:\n    steps:\n      - run: |\n          {}\n",
        "\"$(".repeat(30_000)
    );
    let variables = (0..20_000).fold(String::new(), |text, i| {
        text + &format!("A{i}_TOKEN='x{i}\n")
    });
    let files = [
        (".github/workflows/a.yml", nested.as_bytes()),
        (".env", variables.as_bytes()),
        ("good.yaml", GOOD.as_bytes()),
    ];
    let run = lint_files(
        &files,
        &["--policy=pipeline-direct-apply", "--policy=plain-secret"],
    );
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stdout.contains("failed: 50 deny"), "{}", run.stdout);
}

#[test]
fn policies_of_all_forms_are_brought_along() {
    let run = stagegate(&["lint", "testdata/repos/brought"]);
    insta::assert_snapshot!(run.screen());
    let coverage = stagegate(&["coverage", "testdata/repos/brought"]);
    insta::assert_snapshot!(coverage.screen());
    let config = ["--config", "testdata/repos/brought/stagegate.yaml"];
    for id in ["team-label", "annotations", "service-type", "unique-host"] {
        let known = stagegate(&["explain", id, config[0], config[1]]);
        assert_eq!(known.code, 0, "{}", known.stderr);
    }
    let schema = stagegate(&["config-schema", config[0], config[1]]).json();
    let of_policy = &schema["properties"]["policies"]["properties"]["team-label"];
    assert!(of_policy["properties"]["parameters"]["properties"]["teams"].is_object());
    // The same folder named on the command line is the same folder.
    let again = stagegate(&[
        "lint",
        "testdata/repos/brought",
        "--policies=testdata/repos/brought/policies",
    ]);
    assert_eq!(again.stdout, run.stdout);
}

#[test]
fn what_cannot_be_evaluated_is_not_judged_and_says_so() {
    let template = fs::read_to_string(
        project().join("testdata/repos/brought/policies/gatekeeper/node-port.yaml"),
    );
    let template = template.unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.yaml"), &template).unwrap();
    let policies = format!("--policies={}", folder.path().display());
    let run = lint_files(
        &[("good.yaml", GOOD.as_bytes())],
        &[&policies, "--policy=block-node-port"],
    );
    assert_eq!(run.code, 2);
    assert!(
        run.stdout
            .contains("written in CEL, which is not supported"),
        "{}",
        run.stdout
    );
    let config = "apiVersion: stagegate.dev/v1alpha1\nkind: Config\npolicies: {block-node-port: {enforcement: off}}\n";
    let files = [
        ("good.yaml", GOOD.as_bytes()),
        ("stagegate.yaml", config.as_bytes()),
    ];
    let run = lint_files(&files, &[&policies]);
    assert!(!run.stdout.contains("CEL"), "{}", run.stdout);
}

/// Lints `GOOD` with policies of one file.
fn lint_with_policy(rego: &str, args: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.rego"), rego).unwrap();
    let policies = format!("--policies={}", folder.path().display());
    let mut all = vec![policies.as_str()];
    all.extend(args);
    let run = lint_files(&[("good.yaml", GOOD.as_bytes())], &all);
    Run {
        stdout: run
            .stdout
            .replace(folder.path().to_str().unwrap(), "POLICIES"),
        stderr: run
            .stderr
            .replace(folder.path().to_str().unwrap(), "POLICIES"),
        ..run
    }
}

#[test]
fn mistakes_in_policies_are_located_and_nothing_is_judged() {
    let syntax = lint_with_policy(
        "package main\nimport rego.v1\n\ndeny contains msg if {\n\tmsg := \n}\n",
        &[],
    );
    insta::assert_snapshot!(syntax.screen());
    let refused = lint_with_policy(
        "package main\nimport rego.v1\ndeny contains \"late\" if time.now_ns() > 0\ndeny contains \"x\" if f(1)\nf(x) if f(x)\n",
        &[],
    );
    insta::assert_snapshot!(refused.screen());
    let nothing = lint_with_policy("package helpers\nimport rego.v1\nf(x) := x\n", &[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (2, ""));
    assert!(
        nothing.stderr.contains("there is no policy in POLICIES"),
        "{}",
        nothing.stderr
    );
    let missing = stagegate(&["lint", "testdata/repos/clean", "--policies=nowhere"]);
    assert_eq!(missing.code, 2);
    assert!(
        missing.stderr.contains("cannot read nowhere"),
        "{}",
        missing.stderr
    );
    let twice = lint_with_policy(
        "# METADATA\n# title: t\n# custom: {id: resource-limits}\npackage main\nimport rego.v1\ndeny contains \"x\"\n",
        &[],
    );
    assert!(
        twice
            .stderr
            .contains("there is another policy with the id \"resource-limits\""),
        "{}",
        twice.stderr
    );
}

#[test]
fn a_policy_that_fails_loses_nothing_of_the_others() {
    let run = lint_with_policy(
        "package main\nimport rego.v1\ndeny contains msg if msg := to_number(input.kind)\n",
        &["--policy=p", "--policy=resource-limits"],
    );
    assert_eq!(run.code, 2);
    assert!(
        run.stdout.contains("the policy p could not judge"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("(POLICIES/p.rego:3)"), "{}", run.stdout);
    let alone = lint_files(
        &[("good.yaml", GOOD.as_bytes())],
        &["--policy=resource-limits"],
    );
    let findings = |text: &str| text.matches("[resource-limits]").count();
    assert_eq!(findings(&run.stdout), findings(&alone.stdout));
}

#[test]
fn a_policy_without_end_ends_and_two_runs_are_equal() {
    let objects: String = (0..40)
        .map(|i| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{i}}}\n"))
        .collect();
    let rego = "package main\nimport rego.v1\ndeny contains \"x\" if input.metadata.name == \"c3\"\n\
                deny contains \"y\" if { some i in numbers.range(1, 5000); some j in numbers.range(1, 5000); i * j < 0 }\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.rego"), rego).unwrap();
    let policies = format!("--policies={}", folder.path().display());
    let lint = || {
        lint_files(
            &[("a.yaml", objects.as_bytes())],
            &[&policies, "--format=json"],
        )
    };
    let (first, second) = (lint(), lint());
    assert_eq!(first.code, 2);
    assert_eq!(first.stdout, second.stdout);
    let report = first.json();
    assert_eq!(report["errors"].as_array().unwrap().len(), 1);
    let message = report["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("the policy p used up its budget"),
        "{message}"
    );
}

#[test]
fn policies_are_tested() {
    let rego = stagegate(&["test", "testdata/repos/brought/policies"]);
    insta::assert_snapshot!(rego.screen());
    let suite = stagegate(&["test", "testdata/rego/suite", "--format=junit"]);
    insta::assert_snapshot!(suite.screen());
    let cases = stagegate(&["test", "testdata/policies/replicas", "--format=json"]);
    assert_eq!(cases.code, 0, "{}", cases.stdout);
    let tests = cases.json()["tests"].as_array().unwrap().len();
    assert!(tests >= 12, "{tests}");
    let bundled = stagegate(&["test", "policies"]);
    assert_eq!(bundled.code, 0, "{}", bundled.stdout);
    let nothing = stagegate(&["test", "testdata/yaml"]);
    assert_eq!(nothing.code, 2, "{}", nothing.stdout);
}

#[test]
fn a_test_that_fails_says_what_it_printed() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "p.rego",
        "package main\nimport rego.v1\ndeny contains \"a\" if {\n\tinput.kind == \"Pod\"\n}\n",
    );
    write(
        "p_test.rego",
        "package main_test\nimport rego.v1\nimport data.main\n\ntest_pod if {\n\tprint(\"denied:\", main.deny)\n\
         \tcount(main.deny) == 0 with input as {\"kind\": \"Pod\"}\n}\n\ntest_error if to_number(\"x\") == 1\n\n\
         todo_test_more if false\n",
    );
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n";
    write("cases/p/deny-pod/pod.yaml", pod);
    write("cases/p/allow-pod/pod.yaml", pod);
    write("cases/q/deny-pod/pod.yaml", pod);
    let run = stagegate(&["test", folder.path().to_str().unwrap()]);
    insta::assert_snapshot!(run.screen().replace(folder.path().to_str().unwrap(), "DIR"));
}
