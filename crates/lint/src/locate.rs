//! From a pointer in an object to the line that a person would edit.

use stagegate_core::{
    Enforcement, FileId, Finding, Location, Mark, Meta, Namespace, Object, Place, Pointer,
    REASON_ANNOTATION, Severity, Stage, Status, WaivedBy, Waiver,
};
use stagegate_render::Tree;
use xxhash_rust::xxh3::xxh3_128;

use crate::redact::scrub;
use crate::report::{FindingReport, ObjectReport, OriginReport, RelatedReport, WaiverReport};

/// A finding in one stage, with what tells it from others.
pub(crate) struct Located {
    pub(crate) identity: Identity,
    pub(crate) report: FindingReport,
}

/// Findings that are equal in all of this are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    policy: String,
    /// The source field, and which of the things that can be wrong with it.
    mark: Mark,
    pub(crate) key: String,
    enforcement: Enforcement,
    severity: Severity,
    status: Status,
}

impl Located {
    /// Where the finding was written.
    pub(crate) fn mark(&self) -> Mark {
        self.identity.mark
    }
}

/// What a finding is about, and where that stands.
struct Source<'a> {
    mark: Mark,
    location: Location,
    fingerprint: String,
    object: Option<&'a Object>,
    origin: OriginReport,
    related: Vec<RelatedReport>,
}

pub(crate) fn finding(
    tree: &Tree,
    stage: &Stage,
    object: &Object,
    finding: Finding,
    waivers: &[Waiver],
) -> Located {
    let violation = &finding.violation;
    let mark = object.node.nearest(&violation.pointer).mark;
    let location = place(tree, object, mark);
    let source = object.source();
    let fingerprint = fingerprint(&[
        &finding.meta.id,
        &violation.key,
        &location.path,
        &source.api_version,
        &source.kind,
        source.namespace.as_deref().unwrap_or_default(),
        &source.name,
    ]);
    let mut related: Vec<RelatedReport> = violation
        .related
        .iter()
        .filter_map(|r| {
            let mark = match &r.place {
                Place::Here(pointer) => object.node.nearest(pointer).mark,
                Place::Elsewhere(mark) => *mark,
            };
            relate(tree, mark, r.message.clone())
        })
        .collect();
    for (pointer, mark) in &object.removed {
        if explains(pointer, &violation.pointer, &violation.key) {
            related.extend(relate(tree, *mark, "removed here".to_owned()));
        }
    }
    // Only of the value itself: what is absent was not set by anybody.
    if object.node.at(&violation.pointer).is_some() {
        let replaced = object.overridden.iter().filter(|(by, _)| *by == mark);
        for (_, old) in replaced {
            related.extend(relate(tree, *old, "overrides this".to_owned()));
        }
    }
    let source = Source {
        mark,
        location,
        fingerprint,
        object: Some(object),
        origin: OriginReport::of(object, tree),
        related,
    };
    located(stage, finding, source, waivers)
}

/// A finding about a file.
pub(crate) fn file_finding(
    tree: &Tree,
    stage: &Stage,
    path: &str,
    mark: Mark,
    finding: Finding,
    waivers: &[Waiver],
) -> Located {
    let location = tree.sources().locate(mark);
    let source = Source {
        mark,
        location: location.unwrap_or_else(|| beginning(path.to_owned())),
        fingerprint: fingerprint(&[&finding.meta.id, &finding.violation.key, path]),
        object: None,
        origin: OriginReport {
            renderer: "plain",
            chain: tree.sources().path(mark.file).into_iter().collect(),
        },
        related: Vec::new(),
    };
    located(stage, finding, source, waivers)
}

fn located(stage: &Stage, finding: Finding, source: Source<'_>, waivers: &[Waiver]) -> Located {
    let waiver = waiver_report(&finding, source.object, waivers);
    let (meta, violation) = (finding.meta, finding.violation);
    Located {
        identity: Identity {
            policy: meta.id.to_string(),
            mark: source.mark,
            key: violation.key,
            enforcement: finding.enforcement,
            severity: finding.severity,
            status: finding.status,
        },
        report: FindingReport {
            policy: meta.id.to_string(),
            category: meta.category.to_string(),
            severity: finding.severity,
            enforcement: finding.enforcement,
            status: finding.status,
            waiver,
            block: source.object.and_then(|object| block(&meta, object)),
            stage: stage.name.clone(),
            stages: vec![stage.name.clone()],
            object: finding.object.as_ref().map(ObjectReport::of),
            pointer: violation.pointer.to_string(),
            message: scrub(&violation.message).into_owned(),
            help: violation.help.unwrap_or_else(|| meta.help.to_string()),
            location: source.location,
            origin: source.origin,
            related: source.related,
            fingerprint: source.fingerprint,
        },
    }
}

/// Why a finding is waived.
fn waiver_report(
    finding: &Finding,
    object: Option<&Object>,
    waivers: &[Waiver],
) -> Option<WaiverReport> {
    match finding.waiver? {
        WaivedBy::Configuration(i) => waivers.get(i).map(|waiver| WaiverReport {
            reason: waiver.reason.clone().unwrap_or_default(),
            expires: waiver.expires.map(|date| date.to_string()),
        }),
        WaivedBy::Annotation => Some(WaiverReport {
            reason: object
                .and_then(|o| o.annotation(REASON_ANNOTATION))
                .unwrap_or_default()
                .to_owned(),
            expires: None,
        }),
    }
}

/// What one block of the text tells at once: the objects of a namespace, for policies about the
/// namespace as a whole.
fn block(meta: &Meta, object: &Object) -> Option<String> {
    meta.by_namespace.then(|| match object.namespace() {
        Namespace::Named(name) => format!("namespace {name}"),
        Namespace::Unknown(".") => "no namespace".to_owned(),
        Namespace::Unknown(root) => format!("no namespace, in {root}"),
    })
}

/// Whether taking `removed` out can be why there is a violation at `pointer`: it is that place,
/// holds it, or is the absent thing below it that the violation's key names.
fn explains(removed: &Pointer, pointer: &Pointer, key: &str) -> bool {
    let (removed_text, pointer_text) = (removed.as_str(), pointer.as_str());
    let holds = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let last = removed.segments().last();
    holds(removed_text, pointer_text)
        || (holds(pointer_text, removed_text)
            && last.is_some_and(|last| key.rsplit('/').next() == Some(&*last)))
}

fn place(tree: &Tree, object: &Object, mark: Mark) -> Location {
    tree.sources().locate(mark).unwrap_or_else(|| {
        let file = object.origin.chain.last();
        beginning(file.and_then(|f| path(tree, *f)).unwrap_or_default())
    })
}

fn beginning(path: String) -> Location {
    Location {
        path,
        line: 1,
        column: 1,
        end_line: 1,
        end_column: 1,
    }
}

fn relate(tree: &Tree, mark: Mark, message: String) -> Option<RelatedReport> {
    let location = tree.sources().locate(mark)?;
    Some(RelatedReport {
        path: location.path,
        line: location.line,
        column: location.column,
        message,
    })
}

fn path(tree: &Tree, file: FileId) -> Option<String> {
    tree.sources().path(file)
}

/// A hash of texts, none of which runs into the next.
fn fingerprint(parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    format!("{:032x}", xxh3_128(&bytes))
}
