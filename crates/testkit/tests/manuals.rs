//! Every policy explains itself.

use stagegate_testkit::policies;

#[test]
fn every_manual_has_its_headings_in_order() {
    for policy in policies() {
        let meta = policy.meta();
        let headings: Vec<_> = meta
            .manual
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .collect();
        assert_eq!(
            headings,
            [
                "What it checks",
                "Why",
                "Parameters",
                "How to fix",
                "Controls"
            ],
            "{}",
            meta.id
        );
        for (name, schema) in &meta.parameters {
            assert!(schema["description"].is_string(), "{} {name}", meta.id);
            assert!(
                meta.manual.contains(&format!("`{name}`")),
                "{} {name}",
                meta.id
            );
        }
        for control in &meta.controls {
            assert!(
                meta.manual.contains(&*control.id),
                "{}: {}",
                meta.id,
                control.id
            );
        }
        assert!(
            !meta.help.is_empty() && !meta.title.ends_with('.'),
            "{}",
            meta.id
        );
    }
}
