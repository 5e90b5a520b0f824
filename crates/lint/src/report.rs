//! What lint found, ready to be written in any format.

use serde::Serialize;
use stagegate_core::{
    Enforcement, Exhaustion, FileId, Location, Object, ObjectRef, PolicyFailure, Severity, Status,
    UNRENDERED, Violation,
};
use stagegate_render::{Failure, Tree};
use stagegate_repo::{EntryKind, Fate};

use crate::redact::scrub;
use crate::{Redactions, Repository};

/// The code of the error that there was nothing to judge.
pub const NO_OBJECTS: &str = "no-objects";

/// The result of a run. Sorted; two runs on one tree are equal.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The stages in the order of promotion.
    pub stages: Vec<StageReport>,
    /// How many of what.
    pub summary: Counts,
    /// What is wrong with what was judged.
    pub findings: Vec<FindingReport>,
    /// What could not be judged.
    pub errors: Vec<ErrorReport>,
    /// What was skipped on purpose: charts and dead manifests, which a person may miss.
    #[serde(skip)]
    pub notable: Vec<String>,
    /// What a reader has to know besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Where secrets stand, which must not be shown.
    #[serde(skip)]
    pub redactions: Redactions,
}

/// A stage that was judged.
#[derive(Debug, Serialize)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// How many objects were judged.
    pub objects: usize,
    /// The folders and files that it was taken from.
    pub paths: Vec<String>,
}

/// How many findings there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Active findings that deny.
    pub deny: usize,
    /// Active findings that warn.
    pub warn: usize,
    /// Active findings that are only recorded.
    pub audit: usize,
    /// Findings accepted by a waiver.
    pub waived: usize,
    /// Findings known from the baseline.
    pub baseline: usize,
    /// Sources that could not be judged.
    pub unrendered: usize,
}

/// A finding, located.
#[derive(Clone, Debug, Serialize)]
pub struct FindingReport {
    /// The policy's id.
    pub policy: String,
    /// The policy's category.
    pub category: String,
    /// How bad it is.
    pub severity: Severity,
    /// What happens.
    pub enforcement: Enforcement,
    /// Whether it counts.
    pub status: Status,
    /// Why it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiver: Option<WaiverReport>,
    /// What is told in one block where there is a block.
    #[serde(skip)]
    pub block: Option<String>,
    /// The last of the stages in the order of promotion.
    pub stage: String,
    /// Every stage that has it.
    pub stages: Vec<String>,
    /// The object in that last stage; none for a finding about a file.
    pub object: Option<ObjectReport>,
    /// Where in the object.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// Where a person would edit.
    pub location: Location,
    /// What shaped the object.
    pub origin: OriginReport,
    /// Other places that matter.
    pub related: Vec<RelatedReport>,
    /// The same for the same mistake, whatever moves around it.
    pub fingerprint: String,
}

/// Why a finding is waived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaiverReport {
    /// The reason that the waiver gives.
    pub reason: String,
    /// The last day on which it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// An object's name tags. Unlike in an object itself, a missing namespace is said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// The namespace, where the object names one.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// What shaped an object.
#[derive(Clone, Debug, Serialize)]
pub struct OriginReport {
    /// `plain` or `kustomize`.
    pub renderer: &'static str,
    /// From the root that was rendered to the file in which the object stands.
    pub chain: Vec<String>,
}

/// Another place that matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RelatedReport {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// Why it matters.
    pub message: String,
}

/// Something that could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ErrorReport {
    /// `unrendered`, `policy-error` or `no-objects`.
    pub code: &'static str,
    /// The file or folder.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The place with its end, where it is known.
    #[serde(skip)]
    pub location: Option<Location>,
}

impl Report {
    pub(crate) fn new(
        repository: &Repository,
        findings: Vec<FindingReport>,
        mut errors: Vec<ErrorReport>,
        notes: Vec<String>,
        redactions: Redactions,
    ) -> Report {
        errors.sort_by(|a, b| {
            (&a.path, a.line, a.column, &a.message).cmp(&(&b.path, b.line, b.column, &b.message))
        });
        errors.dedup();
        let mut summary = Counts::default();
        for finding in &findings {
            match (finding.status, finding.enforcement) {
                (Status::Waived, _) => summary.waived += 1,
                (Status::Baseline, _) => summary.baseline += 1,
                (Status::Active, Enforcement::Deny) => summary.deny += 1,
                (Status::Active, Enforcement::Warn) => summary.warn += 1,
                (Status::Active, _) => summary.audit += 1,
            }
        }
        summary.unrendered = errors.iter().filter(|e| e.code == UNRENDERED).count();
        Report {
            stages: repository
                .stages
                .iter()
                .map(|s| StageReport {
                    name: s.stage.name.clone(),
                    objects: s.objects.len(),
                    paths: s.paths.clone(),
                })
                .collect(),
            summary,
            findings,
            errors,
            notable: notable(repository),
            notes,
            redactions,
        }
    }

    /// The exit code: 2 where something could not be judged, else 1 where something denies (with
    /// `strict` also where something warns), else 0.
    pub fn exit_code(&self, strict: bool) -> u8 {
        if !self.errors.is_empty() {
            2
        } else if self.summary.deny > 0 || (strict && self.summary.warn > 0) {
            1
        } else {
            0
        }
    }

    /// How many things should have been judged and were not.
    pub fn unjudged(&self) -> usize {
        self.errors.iter().filter(|e| e.code != NO_OBJECTS).count()
    }

    /// How many objects were judged.
    pub fn objects(&self) -> usize {
        self.stages.iter().map(|s| s.objects).sum()
    }
}

/// What was skipped and holds objects or makes some: a person may have meant it to be judged.
fn notable(repository: &Repository) -> Vec<String> {
    let skipped = |kind: EntryKind| {
        repository
            .entries
            .iter()
            .filter(|e| e.kind == kind && matches!(e.fate, Fate::Skipped { .. }))
            .count()
    };
    let mut notable = Vec::new();
    let mut say = |count: usize, one: &str, many: &str| match count {
        0 => {}
        1 => notable.push(format!("1 {one}")),
        n => notable.push(format!("{n} {many}")),
    };
    say(
        skipped(EntryKind::Chart),
        "chart was not rendered",
        "charts were not rendered",
    );
    say(
        skipped(EntryKind::Manifest),
        "manifest is deployed by nothing",
        "manifests are deployed by nothing",
    );
    say(
        skipped(EntryKind::Kustomization),
        "kustomization is used by nothing",
        "kustomizations are used by nothing",
    );
    let links = repository
        .entries
        .iter()
        .filter(|e| matches!(&e.fate, Fate::Skipped { reason } if reason.starts_with("a link")));
    say(
        links.count(),
        "link was not followed",
        "links were not followed",
    );
    notable
}

impl OriginReport {
    /// What shaped an object of a tree.
    pub fn of(object: &Object, tree: &Tree) -> OriginReport {
        let path = |file: &FileId| tree.sources().path(*file);
        OriginReport {
            renderer: object.origin.renderer,
            chain: object.origin.chain.iter().filter_map(path).collect(),
        }
    }
}

impl ObjectReport {
    pub(crate) fn of(reference: &ObjectRef) -> ObjectReport {
        ObjectReport {
            api_version: reference.api_version.clone(),
            kind: reference.kind.clone(),
            namespace: reference.namespace.clone(),
            name: reference.name.clone(),
        }
    }
}

impl ErrorReport {
    pub(crate) fn unrendered(
        failure: &Failure,
        location: Option<Location>,
        violation: Violation,
    ) -> ErrorReport {
        let at = location.as_ref();
        ErrorReport {
            code: UNRENDERED,
            path: at.map_or(&failure.path, |l| &l.path).clone(),
            line: at.map_or(1, |l| l.line),
            column: at.map_or(1, |l| l.column),
            message: scrub(&violation.message).into_owned(),
            help: violation.help,
            location,
        }
    }

    pub(crate) fn of_policy(tree: &Tree, object: &Object, failure: &PolicyFailure) -> ErrorReport {
        let location = tree.sources().locate(object.node.mark);
        let at = location.as_ref();
        let (policy, error) = (&failure.meta.id, &failure.error);
        ErrorReport {
            code: "policy-error",
            path: at.map_or_else(String::new, |l| l.path.clone()),
            line: at.map_or(1, |l| l.line),
            column: at.map_or(1, |l| l.column),
            message: format!(
                "the policy {policy} could not judge {}: {error}",
                object.reference
            ),
            help: None,
            location,
        }
    }

    pub(crate) fn of_policy_in_file(path: &str, failure: &PolicyFailure) -> ErrorReport {
        let (policy, error) = (&failure.meta.id, &failure.error);
        ErrorReport {
            code: "policy-error",
            path: path.to_owned(),
            line: 1,
            column: 1,
            message: format!("the policy {policy} could not judge this file: {error}"),
            help: None,
            location: None,
        }
    }

    /// A policy that was asked no more.
    pub(crate) fn exhausted(policy: &str) -> ErrorReport {
        ErrorReport {
            code: "policy-error",
            path: ".".to_owned(),
            line: 1,
            column: 1,
            message: format!(
                "the policy {policy} used up its budget on {} objects and more, and was asked no \
                 further: nothing that it found is told",
                Exhaustion::MOST
            ),
            help: Some("have it look at fewer things, through data.index".to_owned()),
            location: None,
        }
    }

    pub(crate) fn nothing_to_judge() -> ErrorReport {
        ErrorReport {
            code: NO_OBJECTS,
            path: ".".to_owned(),
            line: 1,
            column: 1,
            message: "there is no Kubernetes object here, so nothing was judged".to_owned(),
            help: Some("`stagegate coverage` says what became of every file".to_owned()),
            location: None,
        }
    }
}
