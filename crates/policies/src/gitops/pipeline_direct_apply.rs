//! # What it checks
//!
//! Pipelines in the repository (GitHub workflows and actions, GitLab CI and others) run no command
//! that changes a cluster past Git: `kubectl` with `apply`, `create`, `delete`, `edit`, `patch`,
//! `replace`, `scale`, `set`, `label`, `annotate`, `rollout undo` or `rollout restart`, and `helm` with
//! `install`, `upgrade`, `rollback` or `uninstall`.
//!
//! Dry runs pass, and so do jobs that make a cluster of their own for a test (kind, k3d, minikube).
//!
//! # Why
//!
//! Where Argo CD or Flux deploys, what a pipeline applies by hand is undone within minutes, or stays
//! and stands in no commit. The pipeline's credentials for the cluster are one more way into it.
//!
//! # Parameters
//!
//! None.
//!
//! # How to fix
//!
//! Let the pipeline change the manifests in Git (an image tag, say) and the controller deploy them.
//!
//! # Controls
//!
//! - OpenGitOps Principles 1.0: Pulled automatically, continuously reconciled

use std::borrow::Cow;
use std::collections::BTreeMap;

use stagegate_core::{
    Context, Cursor, FileKind, Matches, Meta, Node, Policy, PolicyError, Scope, Severity, Subject,
    Violation,
};

use crate::shell;

struct PipelineDirectApply(Meta);

pub(crate) fn policy() -> impl Policy {
    PipelineDirectApply(Meta {
        severity: Severity::High,
        scope: Scope::File,
        matches: Matches::None,
        files: Cow::Borrowed(&[FileKind::Pipeline]),
        help: Cow::Borrowed(
            "let the pipeline change the manifests in Git, and Argo CD or Flux deploy them",
        ),
        ..Meta::native(
            "pipeline-direct-apply",
            "gitops",
            "No pipeline changes a cluster past Git",
            include_str!("pipeline_direct_apply.rs"),
        )
    })
}

impl Policy for PipelineDirectApply {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let Subject::File(file) = cx.subject else {
            return Ok(Vec::new());
        };
        let mut violations = Vec::new();
        if file.kind == FileKind::Pipeline {
            visit(&Cursor::root(file.content), &mut violations);
        }
        Ok(violations)
    }
}

/// Members whose texts are given to a shell, in the pipelines of GitHub, GitLab, Azure, Bitbucket,
/// CircleCI and Drone.
const SCRIPTS: &[&str] = &[
    "after_script",
    "bash",
    "before_script",
    "command",
    "commands",
    "inlineScript",
    "powershell",
    "pwsh",
    "run",
    "script",
];

/// Looks at every script below a place. A job that makes its own cluster is left alone.
fn visit(cursor: &Cursor<'_>, violations: &mut Vec<Violation>) {
    for item in cursor.items() {
        visit(&item, violations);
    }
    let entries = cursor.node().map_or(&[][..], Node::entries);
    if entries.iter().any(|e| is_job_part(&e.key)) && makes_a_cluster(cursor.node()) {
        return;
    }
    for entry in entries {
        let member = cursor.member(&entry.key);
        if SCRIPTS.contains(&entry.key.as_str()) {
            script(&member, violations);
        } else {
            visit(&member, violations);
        }
    }
}

/// Whether a member says that what holds it is a job.
fn is_job_part(key: &str) -> bool {
    matches!(key, "steps" | "script")
}

/// A script: a text, a list of texts (GitLab), or a mapping with the text in it (CircleCI).
fn script(cursor: &Cursor<'_>, violations: &mut Vec<Violation>) {
    for item in cursor.items() {
        script(&item, violations);
    }
    for entry in cursor.node().map_or(&[][..], Node::entries) {
        script(&cursor.member(&entry.key), violations);
    }
    let Some(text) = cursor.node().and_then(Node::as_str) else {
        return;
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for command in shell::commands(text) {
        for what in changes_a_cluster(&command.words) {
            let message = format!("`{what}` changes a cluster past Git");
            let mut violation = Violation::of_value(cursor, &what, message).in_line(command.line);
            // The second of its kind in one script is another one.
            let count = seen.entry(what).or_default();
            if *count > 0 {
                violation.key = format!("{}#{count}", violation.key);
            }
            *count += 1;
            violations.push(violation);
        }
    }
}

/// Everything in a command that changes a cluster, also what a shell in it is given.
fn changes_a_cluster(words: &[String]) -> Vec<String> {
    let nested = nested_script(words);
    if let Some(script) = nested {
        return shell::commands(script)
            .iter()
            .flat_map(|command| changes_a_cluster(&command.words))
            .collect();
    }
    change(words).into_iter().collect()
}

/// The script that a shell is given as an argument: `bash -c "…"`, `sh -ec '…'`, `eval "…"`.
fn nested_script(words: &[String]) -> Option<&str> {
    let shell = words.iter().position(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        matches!(name, "bash" | "sh" | "zsh" | "dash" | "eval" | "su")
    })?;
    // Something that only speaks of a shell is no shell.
    let runs = |word: &String| WRAPPERS.contains(&word.as_str()) || word.contains('=');
    if !words[..shell].iter().all(runs) {
        return None;
    }
    let arguments = &words[shell + 1..];
    let is_flag = |word: &String| word.starts_with('-') && !word.starts_with("--");
    let gives_script = |word: &String| is_flag(word) && word.ends_with('c');
    match arguments.iter().position(gives_script) {
        Some(flag) => arguments.get(flag + 1).map(String::as_str),
        // What is not given as one text is looked at where it stands.
        None if words[shell] == "eval" && arguments.len() == 1 => {
            arguments.first().map(String::as_str)
        }
        None => None,
    }
}

/// What of a command changes a cluster: `kubectl apply`. `None` for commands that do not.
fn change(command: &[String]) -> Option<String> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let (program, arguments) = program(&words)?;
    let is_dry_run = arguments.iter().enumerate().any(|(i, a)| {
        let value = match a.strip_prefix("--dry-run") {
            Some("") => arguments.get(i + 1).copied().unwrap_or_default(),
            Some(value) => value.trim_start_matches('='),
            None => return false,
        };
        // Alone it means `client` to kubectl, and to helm a run without effect.
        value != "none" && value != "false"
    });
    // Only reads the file that it is given.
    if arguments.contains(&"--local") {
        return None;
    }
    let is_help = arguments.iter().any(|a| matches!(*a, "--help" | "-h"));
    if is_dry_run || is_help {
        return None;
    }
    let verbs = verbs(program, arguments);
    let verb = match (program, verbs.first().copied()?) {
        // Asks for a token, and leaves nothing behind.
        ("kubectl" | "oc", "create") if verbs.get(1) == Some(&"token") => return None,
        (
            "kubectl" | "oc",
            verb @ ("apply" | "create" | "delete" | "edit" | "patch" | "replace" | "scale" | "set"
            | "label" | "annotate" | "autoscale" | "expose" | "run"),
        ) => verb.to_owned(),
        ("kubectl" | "oc", "rollout") => match verbs.get(1).copied()? {
            verb @ ("undo" | "restart" | "pause" | "resume") => format!("rollout {verb}"),
            _ => return None,
        },
        ("helm", verb @ ("install" | "upgrade" | "rollback" | "uninstall" | "delete")) => {
            verb.to_owned()
        }
        _ => return None,
    };
    Some(format!("{program} {verb}"))
}

/// Programs that run another one.
const WRAPPERS: &[&str] = &[
    "command", "env", "eval", "exec", "k3s", "microk8s", "nice", "nohup", "retry", "sudo", "time",
    "timeout", "xargs",
];

/// The program that a command runs, behind assignments and wrappers, with its arguments.
fn program<'w>(words: &'w [&'w str]) -> Option<(&'w str, &'w [&'w str])> {
    let mut behind_wrapper = false;
    for (i, word) in words.iter().enumerate() {
        let name = word.rsplit('/').next().unwrap_or(word);
        if matches!(name, "kubectl" | "oc" | "helm") {
            return Some((name, &words[i + 1..]));
        }
        if WRAPPERS.contains(&name) {
            behind_wrapper = true;
            continue;
        }
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        let is_keyword = matches!(
            *word,
            "if" | "then" | "else" | "elif" | "while" | "until" | "do" | "!" | "{"
        );
        if !(is_assignment || is_keyword || behind_wrapper) {
            return None;
        }
    }
    None
}

/// Flags of kubectl and helm that stand before a verb and take no value.
const SWITCHES: &[&str] = &[
    "--debug",
    "--insecure-skip-tls-verify",
    "--kube-insecure-skip-tls-verify",
    "--match-server-version",
    "--warnings-as-errors",
];

/// The arguments that are no flags, nor values of those that stand before the verb.
fn verbs<'w>(program: &str, arguments: &[&'w str]) -> Vec<&'w str> {
    let mut verbs = Vec::new();
    let mut is_value = false;
    for argument in arguments {
        if is_value {
            is_value = false;
        } else if argument.starts_with('-') {
            // What follows the verb decides nothing.
            let short_with_value = argument.len() > 2 && !argument.starts_with("--");
            is_value = verbs.is_empty()
                && !argument.contains('=')
                && !short_with_value
                && !SWITCHES.contains(argument);
        } else if verbs.is_empty() && argument.starts_with('$') {
            // A variable with flags.
        } else {
            verbs.push(*argument);
            if program == "helm" || verbs.len() == 2 {
                break;
            }
        }
    }
    verbs
}

/// Whether a job makes a cluster of its own, for a test.
fn makes_a_cluster(job: Option<&Node>) -> bool {
    fn any_text(node: &Node, test: &dyn Fn(&str) -> bool) -> bool {
        node.as_str().is_some_and(test)
            || node.items().iter().any(|item| any_text(item, test))
            || node.entries().iter().any(|e| any_text(&e.node, test))
    }
    const ACTIONS: &[&str] = &[
        "helm/kind-action",
        "engineerd/setup-kind",
        "container-tools/kind-action",
        "AbsaOSS/k3d-action",
        "nolar/setup-k3d-k3s",
        "medyagh/setup-minikube",
        "manusa/actions-setup-minikube",
        "jupyterhub/action-k3s-helm",
        "debianmaster/actions-k3s",
        "balchua/microk8s-actions",
    ];
    const COMMANDS: &[&str] = &[
        "kind create cluster",
        "k3d cluster create",
        "minikube start",
        "ctlptl create cluster",
        "k3s server",
    ];
    job.is_some_and(|job| {
        any_text(job, &|text| {
            ACTIONS.iter().any(|action| text.starts_with(action))
                || COMMANDS.iter().any(|command| text.contains(command))
        })
    })
}
