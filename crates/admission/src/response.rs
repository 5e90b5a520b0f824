//! What the API server is answered.

use serde_json::{Map, Value, json};
use stagegate_core::{Enforcement, Finding, Status, Verdict};

use crate::{AdmissionRequest, Bound, Judgement};

/// More causes than this help nobody.
const MAX_CAUSES: usize = 50;
/// More warnings than this, and kubectl's output is nothing else.
const MAX_WARNINGS: usize = 10;
/// The API server asks for warnings of at most 120 characters.
const MAX_WARNING: usize = 120;
/// An annotation of an audit event stays readable.
const MAX_AUDIT: usize = 1024;

/// A cause says what is wrong; nobody reads more of one.
const MAX_MESSAGE: usize = 500;

/// The answer to a request, as JSON. `digest` names the set of policies and their configuration.
pub fn respond(request: &AdmissionRequest, judgement: &Judgement, digest: &str) -> Value {
    let verdict = &judgement.verdict;
    let active = |enforcement: Enforcement| {
        verdict
            .findings
            .iter()
            .filter(move |f| f.status == Status::Active && f.enforcement == enforcement)
    };
    let mut response = Map::new();
    response.insert("uid".to_owned(), json!(request.uid));
    response.insert("allowed".to_owned(), json!(verdict.allowed));
    if !verdict.allowed {
        let denying: Vec<&Finding> = active(Enforcement::Deny).collect();
        response.insert("status".to_owned(), denial(&denying, verdict));
    }
    let not_judged = verdict
        .errors
        .iter()
        .filter(|e| e.enforcement == Enforcement::Warn)
        .map(|e| format!("{}: {}", e.meta.id, e.error));
    let warnings = warnings(active(Enforcement::Warn).map(describe).chain(not_judged));
    if !warnings.is_empty() {
        response.insert("warnings".to_owned(), json!(warnings));
    }
    let mut annotations = Map::new();
    let mut annotate = |key: &str, text: String| {
        annotations.insert(key.to_owned(), json!(one_line(&cut(&text, MAX_AUDIT))));
    };
    annotate("policy-digest", digest.to_owned());
    annotate("stage", judgement.stage.stage.name.clone());
    if let Some(bound) = judgement.bounded_by {
        let why = match bound {
            Bound::Controller => "controller",
            Bound::RestoreWriter => "restore-writer",
        };
        annotate("bounded-by", why.to_owned());
    }
    let audited: Vec<String> = active(Enforcement::Audit).map(describe).collect();
    if !audited.is_empty() {
        annotate("findings", audited.join("; "));
    }
    let waived: Vec<&str> = verdict
        .findings
        .iter()
        .filter(|f| f.status == Status::Waived)
        .map(|f| &*f.meta.id)
        .collect();
    if !waived.is_empty() {
        annotate("waived", waived.join(", "));
    }
    response.insert("auditAnnotations".to_owned(), Value::Object(annotations));
    json!({
        "apiVersion": request.api_version,
        "kind": "AdmissionReview",
        "response": response,
    })
}

fn denial(denying: &[&Finding], verdict: &Verdict) -> Value {
    let mut lines: Vec<String> = denying
        .iter()
        .take(MAX_CAUSES)
        .map(|f| {
            let text = match help(f) {
                "" => describe(f),
                help => format!("{} (fix: {help})", describe(f)),
            };
            cut(&text, MAX_MESSAGE)
        })
        .collect();
    if denying.len() > MAX_CAUSES {
        lines.push(format!("and {} more", denying.len() - MAX_CAUSES));
    }
    lines.extend(
        verdict
            .errors
            .iter()
            .filter(|e| e.enforcement == Enforcement::Deny)
            .map(|e| format!("{}: {}", e.meta.id, e.error)),
    );
    let causes: Vec<Value> = denying
        .iter()
        .take(MAX_CAUSES)
        .map(|f| {
            json!({
                "reason": f.meta.id,
                "message": cut(&f.violation.message, MAX_MESSAGE),
                "field": f.violation.pointer,
            })
        })
        .collect();
    json!({
        "code": 403,
        "reason": "Forbidden",
        "message": lines.join("\n"),
        "details": {"causes": causes},
    })
}

fn warnings(texts: impl Iterator<Item = String>) -> Vec<String> {
    let all: Vec<String> = texts
        .map(|text| cut(&one_line(&text), MAX_WARNING))
        .collect();
    let more = all.len().saturating_sub(MAX_WARNINGS);
    let mut shown: Vec<String> = all.into_iter().take(MAX_WARNINGS).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown
}

/// The API server drops a warning that holds a line break.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// `resource-limits /spec/…: container "api" sets no memory limit`
fn describe(finding: &Finding) -> String {
    let violation = &finding.violation;
    let text = format!(
        "{} {}: {}",
        finding.meta.id, violation.pointer, violation.message
    );
    one_line(&text)
}

fn help(finding: &Finding) -> &str {
    finding
        .violation
        .help
        .as_deref()
        .unwrap_or(&finding.meta.help)
}

fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}
