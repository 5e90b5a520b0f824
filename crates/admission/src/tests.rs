use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};
use stagegate_core::{
    Enforcement, Finding, Matches, Meta, Operation, Scope, Severity, Status, Verdict, Violation,
};

use super::*;

fn body(api_version: &str, request: &Value) -> Vec<u8> {
    json!({"apiVersion": api_version, "kind": "AdmissionReview", "request": request})
        .to_string()
        .into_bytes()
}

fn request() -> Value {
    json!({
        "uid": "7f0b",
        "operation": "UPDATE",
        "namespace": "shop",
        "subResource": "scale",
        "userInfo": {"username": "jane", "groups": ["a"]},
        "dryRun": true,
        "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},
        "oldObject": null,
        "options": {"kind": "UpdateOptions"},
    })
}

#[test]
fn a_request_becomes_a_subject() {
    let request = AdmissionRequest::decode(&body("admission.k8s.io/v1beta1", &request())).unwrap();
    assert_eq!(request.api_version, "admission.k8s.io/v1beta1");
    assert_eq!(
        (request.operation, request.dry_run),
        (Operation::Update, true)
    );
    assert_eq!(
        (request.user.as_str(), request.subresource.as_str()),
        ("jane", "scale")
    );
    let object = request.object.as_ref().unwrap();
    assert_eq!(object.reference.to_string(), "Pod shop/a");
    assert!(request.review().old_object.is_none());
}

#[test]
fn a_namespace_is_in_no_namespace() {
    let mut asked = request();
    asked["object"] =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let request = AdmissionRequest::decode(&body("admission.k8s.io/v1", &asked)).unwrap();
    assert_eq!(request.object.unwrap().reference.namespace, None);
}

#[test]
fn what_is_no_request_is_an_error_that_repeats_nothing_of_it() {
    let mut bad_operation = request();
    bad_operation["operation"] = json!("hunter2");
    let mut deep = request();
    deep["object"] =
        serde_json::from_str(&format!("{}{}", "[".repeat(100), "]".repeat(100))).unwrap();
    let deep = String::from_utf8(body("admission.k8s.io/v1", &deep)).unwrap();
    let deep = deep
        .replace("[[[[[[[[[[", &"[".repeat(100))
        .replace("]]]]]]]]]]", &"]".repeat(100));
    for bytes in [
        b"hunter2".to_vec(),
        b"{}".to_vec(),
        b"{\"kind\": \"AdmissionReview\"".to_vec(),
        body("admission.k8s.io/v2", &request()),
        body("admission.k8s.io/v1", &Value::Null),
        body("admission.k8s.io/v1", &bad_operation),
        deep.into_bytes(),
        b"[".repeat(100_000),
    ] {
        let error = AdmissionRequest::decode(&bytes).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

fn finding(enforcement: Enforcement, message: &str) -> Finding {
    Finding {
        meta: Arc::new(Meta {
            id: Cow::Borrowed("some-policy"),
            title: Cow::Borrowed(""),
            category: Cow::Borrowed(""),
            severity: Severity::Low,
            enforcement,
            production: None,
            scope: Scope::Object,
            matches: Matches::All,
            parameters: Cow::Borrowed(&[]),
            help: Cow::Borrowed("do the right thing"),
            manual: Cow::Borrowed(""),
            controls: Cow::Borrowed(&[]),
            always: false,
        }),
        severity: Severity::Low,
        enforcement,
        status: Status::Active,
        object: None,
        violation: Violation::of_file("key".to_owned(), message.to_owned()),
    }
}

#[test]
fn a_denial_is_a_403_with_causes_and_the_fix() {
    let request = AdmissionRequest::decode(&body("admission.k8s.io/v1", &request())).unwrap();
    let findings = (0..60)
        .map(|i| finding(Enforcement::Deny, &format!("no {i}")))
        .collect();
    let verdict = Verdict {
        allowed: false,
        findings,
        errors: Vec::new(),
    };
    let answer = respond(&request, &verdict);
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["response"]["uid"], "7f0b");
    assert_eq!(answer["response"]["allowed"], false);
    let status = &answer["response"]["status"];
    assert_eq!(status["code"], 403);
    assert_eq!(status["details"]["causes"].as_array().unwrap().len(), 50);
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("some-policy : no 0 (fix: do the right thing)\n"),
        "{message}"
    );
    assert!(message.ends_with("and 10 more"), "{message}");
}

#[test]
fn warnings_are_short_few_and_in_one_line() {
    let request = AdmissionRequest::decode(&body("admission.k8s.io/v1", &request())).unwrap();
    let long = "ö\n".repeat(200);
    let mut findings: Vec<_> = (0..12).map(|_| finding(Enforcement::Warn, &long)).collect();
    findings.push(finding(Enforcement::Audit, "noted"));
    let answer = respond(
        &request,
        &Verdict {
            allowed: true,
            findings,
            errors: Vec::new(),
        },
    );
    let warnings = answer["response"]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 11);
    assert_eq!(warnings[10], "and 2 more");
    let first = warnings[0].as_str().unwrap();
    assert_eq!(first.chars().count(), 120);
    assert!(!first.contains('\n'));
    assert_eq!(
        answer["response"]["auditAnnotations"]["findings"],
        "some-policy : noted"
    );
    assert!(answer["response"].get("status").is_none());
}
