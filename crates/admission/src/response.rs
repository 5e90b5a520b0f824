//! What the API server is answered.

use serde_json::{Map, Value, json};
use stagegate_core::{Enforcement, Finding, Status, Verdict};

use crate::AdmissionRequest;

/// More causes than this help nobody.
const MAX_CAUSES: usize = 50;
/// More warnings than this, and kubectl's output is nothing else.
const MAX_WARNINGS: usize = 10;
/// The API server asks for warnings of at most 120 characters.
const MAX_WARNING: usize = 120;
/// An annotation of an audit event stays readable.
const MAX_AUDIT: usize = 1024;

/// The answer to a request, as JSON.
pub fn respond(request: &AdmissionRequest, verdict: &Verdict) -> Value {
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
    let warnings = warnings(active(Enforcement::Warn));
    if !warnings.is_empty() {
        response.insert("warnings".to_owned(), json!(warnings));
    }
    let audited: Vec<String> = active(Enforcement::Audit).map(describe).collect();
    if !audited.is_empty() {
        let text = cut(&audited.join("; "), MAX_AUDIT);
        response.insert("auditAnnotations".to_owned(), json!({"findings": text}));
    }
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
        .map(|f| format!("{} (fix: {})", describe(f), help(f)))
        .collect();
    if denying.len() > MAX_CAUSES {
        lines.push(format!("and {} more", denying.len() - MAX_CAUSES));
    }
    lines.extend(
        verdict
            .errors
            .iter()
            .map(|(meta, error)| format!("{}: {error}", meta.id)),
    );
    let causes: Vec<Value> = denying
        .iter()
        .take(MAX_CAUSES)
        .map(|f| {
            json!({
                "reason": f.meta.id,
                "message": f.violation.message,
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

fn warnings<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<String> {
    let all: Vec<String> = findings.map(|f| cut(&describe(f), MAX_WARNING)).collect();
    let more = all.len().saturating_sub(MAX_WARNINGS);
    let mut shown: Vec<String> = all.into_iter().take(MAX_WARNINGS).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown
}

/// `resource-limits /spec/…: container "api" sets no memory limit`, in one line: the API server
/// drops a warning with a line break.
fn describe(finding: &Finding) -> String {
    let violation = &finding.violation;
    let text = format!(
        "{} {}: {}",
        finding.meta.id, violation.pointer, violation.message
    );
    text.replace(['\n', '\r'], " ")
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
