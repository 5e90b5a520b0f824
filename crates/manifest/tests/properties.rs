//! What holds for every text.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use stagegate_core::{Mark, Node, Value};
use stagegate_manifest::{Format, Loaded, Profile, Source, Sources, decode, load};

fn read(bytes: &[u8], format: Format, profile: Profile) -> (std::sync::Arc<Source>, Loaded) {
    let sources = Sources::new();
    let file = sources.add("a".to_owned(), decode(bytes.to_vec()));
    let source = sources.get(file).unwrap();
    let loaded = load(file, &source, format, profile);
    (source, loaded)
}

/// Every mark of a tree, keys included.
fn marks(node: &mut Node) -> Vec<Mark> {
    let mut marks = Vec::new();
    node.for_each_mark_mut(&mut |mark| marks.push(*mark));
    marks
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e15..1e15).prop_map(|f: f64| serde_json::json!(f)),
        "\\PC{0,12}".prop_map(Into::into),
        "[ \t\n:#{}\\[\\],&*!|>'\"%@`?-]{0,6}[a-z]?".prop_map(Into::into),
        prop_oneof![
            "yes", "on", "0777", "1e3", "~", "null", "=", "<<", ".inf", "1_0"
        ]
        .prop_map(|s: String| s.into()),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map("[a-z/~.]{1,8}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic_and_marks_stay_inside(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Yaml, Format::Json] {
            for profile in [Profile::Apply, Profile::Kustomize] {
                let (source, mut loaded) = read(&bytes, format, profile);
                let len = u32::try_from(source.text.len()).unwrap();
                for mark in loaded.documents.iter_mut().flat_map(marks) {
                    prop_assert!(mark.start <= mark.end && mark.end <= len);
                }
            }
        }
    }

    #[test]
    fn no_text_of_yaml_characters_panics(text in "[-a:{}\\[\\],&*!|>'\"%@`?# \t\n<~0.]{0,60}") {
        let (source, mut loaded) = read(text.as_bytes(), Format::Yaml, Profile::Apply);
        for mark in loaded.documents.iter_mut().flat_map(marks) {
            prop_assert!(source.text.get(mark.start as usize..mark.end as usize).is_some());
        }
        for problem in loaded.problems {
            source.locate(problem.mark);
        }
    }

    #[test]
    fn json_is_read_as_it_was_written(value in json()) {
        let wrapped = serde_json::json!({"value": value});
        let expected: Node = serde_json::from_value(wrapped.clone()).unwrap();
        for text in [wrapped.to_string(), serde_json::to_string_pretty(&wrapped).unwrap()] {
            let (source, loaded) = read(text.as_bytes(), Format::Json, Profile::Apply);
            prop_assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
            prop_assert_eq!(&loaded.documents[0], &expected);
            check_slices(&loaded.documents[0], &source.text)?;
        }
    }

    #[test]
    fn yaml_that_we_write_is_read_as_it_was_meant(value in json()) {
        let wrapped = serde_json::json!({"value": value});
        let expected: Node = serde_json::from_value(wrapped).unwrap();
        let text = serde_saphyr::to_string(&expected).unwrap();
        let (_, loaded) = read(text.as_bytes(), Format::Yaml, Profile::Apply);
        prop_assert!(loaded.problems.is_empty(), "{:?}\n{}", loaded.problems, text);
        prop_assert_eq!(&loaded.documents[0], &expected, "{}", text);
    }
}

/// What a mark covers reads as the value that it belongs to.
fn check_slices(node: &Node, text: &str) -> Result<(), TestCaseError> {
    let slice = &text[node.mark.start as usize..node.mark.end as usize];
    let alone: Node = serde_json::from_str(slice).unwrap();
    prop_assert_eq!(&alone, node);
    for entry in node.entries() {
        let key = &text[entry.key_mark.start as usize..entry.key_mark.end as usize];
        let key: String = serde_json::from_str(key).unwrap();
        prop_assert_eq!(key.as_str(), entry.key.as_str());
        check_slices(&entry.node, text)?;
    }
    if let Value::Array(items) = &node.value {
        for item in items {
            check_slices(item, text)?;
        }
    }
    Ok(())
}
