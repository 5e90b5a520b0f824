//! Every policy case, through both doors.
//!
//! `STAGEGATE_RECORD=1 cargo test -p stagegate-testkit` writes what was found as what is expected,
//! to be read before it is committed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::path::Path;

use stagegate_testkit::{Case, without_pointers};

/// The objects that violations are about.
fn objects(violations: &[String]) -> BTreeSet<String> {
    let object = |violation: &String| violation.split(": ").next().unwrap_or_default().to_owned();
    violations.iter().map(object).collect()
}

#[test]
fn every_case_is_found_by_both_doors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policies");
    let cases = Case::all(&folder).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let outcome = match case.run() {
            Ok(outcome) => outcome,
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        if std::env::var_os("STAGEGATE_RECORD").is_some() {
            case.record(&outcome).unwrap();
        }
        let name = case.name();
        // What is there is wrong in Git, and who writes it in a cluster: the same objects, told in
        // other words.
        if case.policy == "plain-secret" {
            for admission in [&outcome.admission_violations, &outcome.defaulted_violations] {
                let admission = admission.clone().unwrap_or_default();
                let lint = objects(&outcome.lint_violations);
                if objects(&admission) != lint {
                    wrong.push(format!(
                        "{}: lint {lint:#?}\nadmission {admission:#?}",
                        case.name()
                    ));
                }
            }
        }
        let lint = &outcome.lint_violations;
        let is_told_alike = case.policy != "plain-secret";
        if is_told_alike
            && let Some(admission) = &outcome.admission_violations
            && admission != lint
        {
            wrong.push(format!("{name}: lint {lint:#?}\nadmission {admission:#?}"));
        }
        if is_told_alike
            && let Some(admission) = &outcome.defaulted_violations
            && without_pointers(admission) != without_pointers(lint)
        {
            wrong.push(format!(
                "{name}: lint {lint:#?}\nadmission with defaults {admission:#?}"
            ));
        }
        if outcome.lint != case.expected() {
            let (found, expected) = (&outcome.lint, case.expected());
            wrong.push(format!("{name}: found {found:#?}\nexpected {expected:#?}"));
        }
        if case.allows() != outcome.lint.is_empty() {
            wrong.push(format!(
                "{name}: its name says otherwise than {:#?}",
                outcome.lint
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A policy without cases is untested, and cases without a policy are dead.
    let with_cases: BTreeSet<String> = cases.iter().map(|c| c.policy.clone()).collect();
    let policies: BTreeSet<String> = stagegate_testkit::policies()
        .iter()
        .map(|p| p.meta().id.to_string())
        // Those that tell of readers, renderers and waivers have tests of their own.
        .filter(|id| id != stagegate_core::UNRENDERED && !id.starts_with("waiver-"))
        .collect();
    assert_eq!(with_cases, policies);
    for policy in &policies {
        let of = |allows: bool| {
            cases
                .iter()
                .filter(|c| c.policy == *policy && c.allows() == allows)
                .count()
        };
        assert!(of(true) >= 5 && of(false) >= 5, "{policy}");
    }
}
