//! Runs policy cases through both doors. For development only.
//!
//! A case is a folder of plain manifests, `allow-<what>` or `deny-<what>`, with a `stagegate.yaml`
//! where it needs parameters, and an `expected.txt` that holds what is found. The runner switches
//! on one policy, lints the folder, then sends every object as an AdmissionReview, and demands the
//! same answer from both.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use stagegate_admission::AdmissionRequest;
use stagegate_config::{Config, FILE_NAME};
use stagegate_core::{Enforcement, Engine, Inventory, Limits, Object, Subject, World};
use stagegate_lint::Repository;
use stagegate_render::{ExternalKustomize, Tree};

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
pub struct Outcome {
    /// What the linter found: `file:line:column: pointer: message`, sorted.
    pub lint: Vec<String>,
    /// What the linter found, without places: `object: pointer: message`, sorted.
    pub lint_violations: Vec<String>,
    /// What the webhook would find, in the same form.
    pub admission_violations: Vec<String>,
}

/// Why a case could not be run.
#[derive(Debug, thiserror::Error)]
#[error("{case}: {message}")]
pub struct CaseError {
    case: String,
    message: String,
}

impl Case {
    /// Every case below `testdata/policies`, sorted.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn all(policies: &Path) -> Result<Vec<Case>, CaseError> {
        let mut cases = Vec::new();
        for policy in folders(policies)? {
            for folder in folders(&policy)? {
                cases.push(Case {
                    policy: name(&policy),
                    folder,
                });
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

    /// What must be found.
    pub fn expected(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("expected.txt")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Writes what was found as what must be found.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(&self, outcome: &Outcome) -> Result<(), CaseError> {
        let text = outcome.lint.iter().fold(String::new(), |mut text, line| {
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
    pub fn run(&self) -> Result<Outcome, CaseError> {
        let tree = Tree::new(&self.folder).map_err(|e| self.error(&e))?;
        let config = self.config(&tree)?;
        let mut settings = config.settings.clone();
        settings.only = Some(vec![self.policy.clone()]);
        let engine = Engine::new(stagegate_policies::all(), settings)
            .map_err(|errors| self.error(&format!("{errors:?}")))?;
        let layout = stagegate_repo::discover(&tree, None, &config).map_err(|e| self.error(&e))?;
        let renderer = ExternalKustomize::forbidden();
        let repository = stagegate_lint::render(layout, &tree, &renderer, &[], &|_| {});
        let report = stagegate_lint::lint(&engine, &repository, &tree, &Limits::default(), &|_| {});
        if let Some(error) = report.errors.first() {
            return Err(self.error(&format!("{}:{}: {}", error.path, error.line, error.message)));
        }

        let mut lint: Vec<String> = Vec::new();
        let mut lint_violations = Vec::new();
        for finding in &report.findings {
            let location = &finding.location;
            lint.push(format!(
                "{}:{}:{}: {}: {}",
                location.path, location.line, location.column, finding.pointer, finding.message
            ));
            let object = finding.object.as_ref().map(|o| {
                let namespace = o
                    .namespace
                    .as_ref()
                    .map(|n| format!("{n}/"))
                    .unwrap_or_default();
                format!("{} {namespace}{}", o.kind, o.name)
            });
            lint_violations.push(format!(
                "{}: {}: {}",
                object.unwrap_or_default(),
                finding.pointer,
                finding.message
            ));
        }
        lint_violations.sort();
        let admission_violations = self.admit(&engine, &repository)?;
        Ok(Outcome {
            lint,
            lint_violations,
            admission_violations,
        })
    }

    fn config(&self, tree: &Tree) -> Result<Config, CaseError> {
        if !tree.absolute(FILE_NAME).is_file() {
            return Ok(Config::default());
        }
        let (file, source) = tree.read(FILE_NAME).map_err(|e| self.error(&e))?;
        Config::read(file, &source).map_err(|errors| self.error(&format!("{errors:?}")))
    }

    /// Sends every object through the other door, with the same neighbours.
    fn admit(&self, engine: &Engine, repository: &Repository) -> Result<Vec<String>, CaseError> {
        let mut found = Vec::new();
        for stage in &repository.stages {
            let inventory = Inventory::new(stage.objects.clone());
            for object in &stage.objects {
                let request = self.request(object)?;
                let world = World {
                    stage: &stage.stage,
                    inventory: &inventory,
                };
                let subject = Subject::Review(request.review());
                let verdict = engine.review(&subject, &world, &Limits::default());
                let denies = verdict
                    .findings
                    .iter()
                    .any(|f| f.enforcement == Enforcement::Deny);
                if verdict.allowed == denies {
                    return Err(self.error(&"the verdict does not follow from its findings"));
                }
                for finding in verdict.findings {
                    let object = finding.object.map(|o| o.to_string()).unwrap_or_default();
                    let violation = finding.violation;
                    found.push(format!(
                        "{object}: {}: {}",
                        violation.pointer, violation.message
                    ));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The object as the API server would send it, through the wire and back.
    fn request(&self, object: &Arc<Object>) -> Result<AdmissionRequest, CaseError> {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "00000000-0000-0000-0000-000000000000",
                "operation": "CREATE",
                "userInfo": {"username": "kubernetes-admin"},
                "namespace": object.reference.namespace.clone().unwrap_or_default(),
                "object": object.node,
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
