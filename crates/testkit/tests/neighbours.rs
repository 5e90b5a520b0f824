//! What policies look at besides their subjects. The policy cases run with a check that nothing else is
//! looked at.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use stagegate_core::{KindPattern, Node, Policy};

fn in_words(kind: &KindPattern) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
    let kinds = part(&kind.kind);
    match kind.group.as_deref() {
        Some("") => kinds,
        _ => format!("{kinds}.{}", part(&kind.group)),
    }
}

#[test]
fn what_policies_look_at_is_declared() {
    let mut policies: Vec<Box<dyn Policy>> = stagegate_policies::all();
    policies.extend(stagegate_rego::bundled());
    policies.sort_by(|a, b| a.meta().id.cmp(&b.meta().id));
    let mut text = String::new();
    for policy in policies.iter().filter(|policy| !policy.meta().offline) {
        let mut with = |when: &str, parameters: &Node| {
            let kinds = policy.neighbours(parameters);
            if !kinds.is_empty() {
                let kinds: Vec<String> = kinds.iter().map(in_words).collect();
                writeln!(text, "{}{when}: {}", policy.meta().id, kinds.join(" ")).unwrap();
            }
        };
        with("", &policy.meta().default_parameters());
        if policy.meta().parameters.contains_key("limitRangeDefaults") {
            let on = serde_json::json!({"limitRangeDefaults": true});
            with(
                ", limitRangeDefaults: true",
                &serde_json::from_value(on).unwrap(),
            );
        }
    }
    insta::assert_snapshot!(text);
}
