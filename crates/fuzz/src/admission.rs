//! Any bytes as the body of a request: an error, or an answer that follows from its findings, and
//! the same answer again.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use stagegate_admission::{AdmissionRequest, judge, respond};
use stagegate_core::{Engine, Finding, Inventory, Limits, Settings};

static ENGINE: OnceLock<Engine> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let Ok(request) = AdmissionRequest::decode(data) else {
        return;
    };
    let engine = ENGINE.get_or_init(|| {
        Engine::new(stagegate_policies::all(), Settings::default()).expect("policies")
    });
    let inventory = Inventory::default();
    let answer = || {
        let judgement = judge(engine, &request, None, Some(&inventory), &Limits::default());
        assert!(judgement.verdict.errors.is_empty(), "a policy failed");
        let denies = judgement.verdict.findings.iter().any(Finding::denies);
        assert_eq!(judgement.verdict.allowed, !denies);
        respond(&request, &judgement, "digest")
    };
    let first = answer();
    assert_eq!(first, answer());
    assert_eq!(first["response"]["uid"], request.uid.as_str());
});
