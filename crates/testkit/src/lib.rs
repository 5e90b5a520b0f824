//! Runs policy cases through both doors, and Gatekeeper's suites: `stagegate test`, and our own.
//!
//! A case is a folder of plain manifests, `allow-<what>` or `deny-<what>`, with a `stagegate.yaml`
//! where it needs parameters, and an `expected.txt` that holds what is found. The runner switches
//! on one policy, lints the folder, then sends every object as an AdmissionReview, as it was written
//! and as the API server fills it in, and demands the same answer from both.

mod defaulting;
mod outcome;
mod suite;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use stagegate_admission::{AdmissionRequest, judge};
use stagegate_config::{Config, FILE_NAME};
use stagegate_core::{Enforcement, Engine, Inventory, Limits, Object, ObjectRef, Policy, Scope};
use stagegate_lint::Repository;
use stagegate_render::{ExternalKustomize, Tree};

pub use outcome::{Outcome, Test};
pub use suite::suites;

/// Makes the policies that there are, for an engine to take.
pub type PolicySource<'a> = &'a dyn Fn() -> Vec<Box<dyn Policy>>;

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The id of the policy that it is for.
    pub policy: String,
    /// Its folder.
    pub folder: PathBuf,
}

/// What both doors found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// What the linter found: `deny file:line:column: pointer: message`, sorted.
    pub lint: Vec<String>,
    /// What the linter found about objects, without places: `object: pointer: message`, sorted.
    pub lint_violations: Vec<String>,
    /// What the webhook would find, in the same form; none for a policy that is for the linter only.
    pub admission_violations: Option<Vec<String>>,
    /// The same for the objects with defaults filled in: then less is absent, so that a pointer may
    /// lead further, and what must be equal is the rest.
    pub defaulted_violations: Option<Vec<String>>,
}

/// The policy's own view of the objects: as they were written, or as the API server sends them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Written,
    Defaulted,
}

/// Why a case could not be run.
#[derive(Debug, thiserror::Error)]
#[error("{case}: {message}")]
pub struct CaseError {
    case: String,
    message: String,
}

impl Case {
    /// Every case below a folder, sorted: `<policy>/{allow,deny}-<what>` at any depth.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn all(below: &Path) -> Result<Vec<Case>, CaseError> {
        let mut cases = Vec::new();
        for folder in folders(below)? {
            let own = name(&folder);
            if own.starts_with("allow-") || own.starts_with("deny-") {
                let absolute = below.canonicalize();
                cases.push(Case {
                    policy: name(absolute.as_deref().unwrap_or(below)),
                    folder,
                });
            } else if !own.starts_with('.') {
                cases.extend(Case::all(&folder)?);
            }
        }
        Ok(cases)
    }

    /// Whether nothing may be found.
    pub fn allows(&self) -> bool {
        name(&self.folder).starts_with("allow-")
    }

    /// `resource-limits/deny-deployment`
    pub fn name(&self) -> String {
        format!("{}/{}", self.policy, name(&self.folder))
    }

    /// What is wrong with what was found; nothing where it is as it must be: the linter found what
    /// `expected.txt` says, where there is one, and the other door found the same.
    pub fn wrong(&self, found: &Found) -> Vec<String> {
        let name = self.name();
        let mut wrong = Vec::new();
        let lint = &found.lint_violations;
        // What is there is wrong in Git, and who writes it in a cluster: the same objects, told in
        // other words.
        if self.policy == "plain-secret" {
            for admission in [&found.admission_violations, &found.defaulted_violations] {
                let admission = admission.clone().unwrap_or_default();
                if objects(&admission) != objects(lint) {
                    wrong.push(format!("{name}: lint {lint:#?}\nadmission {admission:#?}"));
                }
            }
        } else {
            if let Some(admission) = &found.admission_violations
                && admission != lint
            {
                wrong.push(format!("{name}: lint {lint:#?}\nadmission {admission:#?}"));
            }
            if let Some(admission) = &found.defaulted_violations
                && without_pointers(admission) != without_pointers(lint)
            {
                wrong.push(format!(
                    "{name}: lint {lint:#?}\nadmission with defaults {admission:#?}"
                ));
            }
        }
        let (lint, expected) = (&found.lint, self.expected());
        if *lint != expected && (!expected.is_empty() || self.allows()) {
            wrong.push(format!("{name}: found {lint:#?}\nexpected {expected:#?}"));
        } else if self.allows() != lint.is_empty() {
            wrong.push(format!("{name}: its name says otherwise than {lint:#?}"));
        }
        wrong
    }

    /// What must be found.
    pub fn expected(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("expected.txt")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Writes what was found as what must be found.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(&self, found: &Found) -> Result<(), CaseError> {
        let text = found.lint.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        });
        let path = self.folder.join("expected.txt");
        if text.is_empty() {
            return Ok(());
        }
        fs::write(path, text).map_err(|e| self.error(&e))
    }

    /// Goes through both doors.
    ///
    /// # Errors
    /// If the case cannot be read, or something in it cannot be judged.
    pub fn run(&self, policies: PolicySource<'_>) -> Result<Found, CaseError> {
        let tree = Tree::new(&self.folder).map_err(|e| self.error(&e))?;
        let config = self.config(&tree, policies)?;
        let mut settings = config.settings.clone();
        settings.only = Some(vec![self.policy.clone()]);
        let engine = Engine::new(policies(), settings).map_err(|e| self.error(&e))?;
        let layout = stagegate_repo::discover(&tree, None, &config).map_err(|e| self.error(&e))?;
        let renderer = ExternalKustomize::forbidden();
        let urls = &config.self_urls;
        let repository = stagegate_lint::render(layout, &tree, &renderer, &[], urls, &|_| {});
        let limits = Limits::default();
        let report = stagegate_lint::lint(&engine, &repository, &tree, &config, &limits, &|_| {});
        if let Some(error) = report.errors.first() {
            return Err(self.error(&format!("{}:{}: {}", error.path, error.line, error.message)));
        }

        let mut lint: Vec<String> = Vec::new();
        let mut lint_violations = Vec::new();
        for finding in &report.findings {
            let location = &finding.location;
            lint.push(format!(
                "{} {}:{}:{}: {}: {}",
                finding.enforcement,
                location.path,
                location.line,
                location.column,
                finding.pointer,
                finding.message
            ));
            if let Some(object) = &finding.object {
                let object = ObjectRef {
                    api_version: object.api_version.clone(),
                    kind: object.kind.clone(),
                    namespace: object.namespace.clone(),
                    name: object.name.clone(),
                };
                for _ in &finding.stages {
                    lint_violations.push(violation(&object, &finding.pointer, &finding.message));
                }
            }
        }
        lint_violations.sort();
        let is_offline = engine
            .policies()
            .any(|meta| meta.id == self.policy && (meta.offline || meta.scope == Scope::File));
        let admit = |form| {
            let found = (!is_offline).then(|| self.admit(&engine, &repository, form));
            found.transpose()
        };
        Ok(Found {
            lint,
            lint_violations,
            admission_violations: admit(Form::Written)?,
            defaulted_violations: admit(Form::Defaulted)?,
        })
    }

    fn config(&self, tree: &Tree, policies: PolicySource<'_>) -> Result<Config, CaseError> {
        if !tree.absolute(FILE_NAME).is_file() {
            return Ok(Config::default());
        }
        let (file, source) = tree.read(FILE_NAME).map_err(|e| self.error(&e))?;
        let policies = policies();
        Config::read(file, &source, policies.iter().map(|p| p.meta())).map_err(|errors| {
            let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
            self.error(&messages.join("; "))
        })
    }

    /// Sends every object through the other door, with the same neighbours.
    fn admit(
        &self,
        engine: &Engine,
        repository: &Repository,
        form: Form,
    ) -> Result<Vec<String>, CaseError> {
        let mut found = Vec::new();
        for stage in &repository.stages {
            let requests: Vec<AdmissionRequest> = stage
                .objects
                .iter()
                .map(|object| self.request(object, form))
                .collect::<Result<_, _>>()?;
            let stored = requests.iter().filter_map(|r| r.object.clone());
            let inventory = Inventory::new(stored.map(Arc::new).collect());
            for request in &requests {
                let limits = Limits::default();
                let judgement = judge(
                    engine,
                    request,
                    Some(&stage.stage),
                    Some(&inventory),
                    &limits,
                );
                let verdict = judgement.verdict;
                let denies = verdict
                    .findings
                    .iter()
                    .any(|f| f.enforcement == Enforcement::Deny);
                if verdict.allowed == denies || !verdict.errors.is_empty() {
                    return Err(self.error(&"the verdict does not follow from its findings"));
                }
                for finding in verdict.findings {
                    let object = finding.object.unwrap_or_default();
                    let (pointer, message) = (finding.violation.pointer, finding.violation.message);
                    found.push(violation(&object, pointer.as_str(), &message));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The object as the API server would send it, through the wire and back.
    fn request(&self, object: &Arc<Object>, form: Form) -> Result<AdmissionRequest, CaseError> {
        let reference = &object.reference;
        let namespace = match &reference.namespace {
            Some(namespace) => namespace.clone(),
            None if reference.is_cluster_scoped() => String::new(),
            None => "default".to_owned(),
        };
        let mut sent = serde_json::to_value(&object.node).map_err(|e| self.error(&e))?;
        if form == Form::Defaulted {
            sent = defaulting::defaulted(&sent);
        }
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "00000000-0000-0000-0000-000000000000",
                "operation": "CREATE",
                "userInfo": {"username": "kubernetes-admin"},
                "namespace": namespace,
                "object": sent,
                "oldObject": null,
                "dryRun": false,
            },
        });
        AdmissionRequest::decode(review.to_string().as_bytes()).map_err(|e| self.error(&e))
    }

    fn error(&self, error: &dyn std::fmt::Display) -> CaseError {
        CaseError {
            case: self.name(),
            message: error.to_string(),
        }
    }
}

/// Every policy that comes with the program.
pub fn policies() -> Vec<Box<dyn Policy>> {
    let mut policies = stagegate_policies::all();
    policies.extend(stagegate_rego::bundled());
    policies
}

/// A violation in the form in which both doors can be held against each other: a namespace that
/// nobody names is `default`, generated names are not told, and the API server turns `stringData`
/// into `data`.
fn violation(object: &ObjectRef, pointer: &str, message: &str) -> String {
    let namespace = match &object.namespace {
        Some(namespace) => namespace,
        None if object.is_cluster_scoped() => "",
        None => "default",
    };
    let name = object.name.strip_suffix("x7k2p").unwrap_or(&object.name);
    let pointer = pointer.replacen("/stringData", "/data", 1);
    format!("{} {namespace}/{name}: {pointer}: {message}", object.kind)
}

/// The objects that violations are about.
fn objects(violations: &[String]) -> BTreeSet<&str> {
    let object = |violation: &'_ String| violation.find(": ").unwrap_or(violation.len());
    violations.iter().map(|v| &v[..object(v)]).collect()
}

/// Violations as `object: message`.
fn without_pointers(violations: &[String]) -> Vec<String> {
    let mut without: Vec<String> = violations
        .iter()
        .map(|violation| {
            let mut parts = violation.splitn(3, ": ");
            let (object, _, message) = (parts.next(), parts.next(), parts.next());
            let (object, message) = (object.unwrap_or_default(), message.unwrap_or_default());
            format!("{object}: {message}")
        })
        .collect();
    without.sort();
    without
}

fn name(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn folders(path: &Path) -> Result<Vec<PathBuf>, CaseError> {
    let error = |e: std::io::Error| CaseError {
        case: path.display().to_string(),
        message: e.to_string(),
    };
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(error)? {
        let entry = entry.map_err(error)?;
        if entry.path().is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

/// What Stagegate answers to a file of `testdata/rego/conformance`: the value of `data.t.result`, as
/// JSON with sorted keys, `undefined`, or `error` with the reason.
pub fn rego_answer(name: &str, text: &str) -> String {
    let input = text
        .lines()
        .find_map(|line| line.strip_prefix("# input: "))
        .and_then(|input| serde_json::from_str(input).ok());
    let answer = std::panic::catch_unwind(|| {
        stagegate_rego::query(name, text, "data.t.result", input.as_ref())
    });
    match answer {
        Ok(Ok(Some(value))) => value.to_string(),
        Ok(Ok(None)) => "undefined".to_owned(),
        Ok(Err(error)) => format!("error: {error}"),
        Err(_) => "error: a panic".to_owned(),
    }
}
