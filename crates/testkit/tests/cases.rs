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

use stagegate_testkit::{Case, policies};

#[test]
fn every_case_is_found_by_both_doors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policies");
    let cases = Case::all(&folder).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let found = match case.run(&policies) {
            Ok(found) => found,
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        if std::env::var_os("STAGEGATE_RECORD").is_some() {
            case.record(&found).unwrap();
        }
        wrong.extend(case.wrong(&found));
        // Ours say every word.
        assert!(
            case.allows() || !case.expected().is_empty(),
            "{}",
            case.name()
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A policy without cases is untested, and cases without a policy are dead.
    let with_cases: BTreeSet<String> = cases.iter().map(|c| c.policy.clone()).collect();
    let policies: BTreeSet<String> = policies()
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
