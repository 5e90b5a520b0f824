//! What `kubectl apply` and kustomize read differently.

use stagegate_core::{FileId, Mark, Node, Value};

use crate::{Format, Profile, Source, load};

/// A place of a manifest that means one thing to `kubectl apply` and another to kustomize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    /// Where.
    pub mark: Mark,
    /// What is read, and by whom.
    pub message: String,
    /// What would be read equally.
    pub help: &'static str,
}

/// Reads a file as both programs do, and tells where they differ. Documents that one of them
/// refuses are left out: that is told elsewhere.
pub fn ambiguities(file: FileId, source: &Source) -> Vec<Ambiguity> {
    let applied = load(file, source, Format::Yaml, Profile::Apply).documents;
    let kustomized = load(file, source, Format::Yaml, Profile::Kustomize).documents;
    let mut found = Vec::new();
    for document in &applied {
        if let Some(other) = kustomized
            .iter()
            .find(|other| other.mark.start == document.mark.start)
        {
            compare(document, other, source, &mut found);
        }
    }
    found.sort_by_key(|ambiguity| ambiguity.mark);
    // An anchor's value is read once for each alias.
    found.dedup_by_key(|ambiguity| ambiguity.mark);
    found
}

fn compare(applied: &Node, kustomized: &Node, source: &Source, found: &mut Vec<Ambiguity>) {
    match (&applied.value, &kustomized.value) {
        (Value::Object(a), Value::Object(k)) => {
            for entry in k.iter() {
                match a.entry(&entry.key) {
                    Some(other) => compare(&other.node, &entry.node, source, found),
                    // The key itself is such a word: it is another one to kubectl.
                    None => found.push(tell(entry.key_mark, true, source)),
                }
            }
        }
        (Value::Array(a), Value::Array(k)) if a.len() == k.len() => {
            for (applied, kustomized) in a.iter().zip(k) {
                compare(applied, kustomized, source, found);
            }
        }
        (a, k) if a != k => {
            let is_word = matches!((a, k), (Value::Bool(_), Value::String(_)));
            found.push(tell(kustomized.mark, is_word, source));
        }
        _ => {}
    }
}

fn tell(mark: Mark, is_word: bool, source: &Source) -> Ambiguity {
    let text = source.text.get(mark.start as usize..mark.end as usize);
    let text = text.unwrap_or_default();
    if is_word && crate::scalar::is_old_boolean(text) {
        let meaning = text.starts_with(['y', 'Y']) || text.eq_ignore_ascii_case("on");
        Ambiguity {
            mark,
            message: format!("kubectl apply reads `{text}` as {meaning}, kustomize as a text"),
            help: "put it in quotes if it is a text, or write true or false",
        }
    } else {
        Ambiguity {
            mark,
            message: "kubectl apply takes the value that `<<` merges in, kustomize this one"
                .to_owned(),
            help: "put `<<` above the keys that it must not replace",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sources, decode};

    fn found(text: &str) -> Vec<String> {
        let sources = Sources::new();
        let file = sources.add("a.yaml".to_owned(), decode(text.into()));
        let source = sources.get(file).unwrap();
        let loaded = load(file, &source, Format::Yaml, Profile::Apply);
        let found = ambiguities(file, &source);
        // Whoever looks at the flag first misses nothing.
        assert!(loaded.ambiguous || found.is_empty(), "{text}");
        found
            .iter()
            .map(|a| {
                format!(
                    "{}: {}",
                    source.line_column(a.mark.start as usize).0,
                    a.message
                )
            })
            .collect()
    }

    #[test]
    fn words_of_yaml_1_1_are_told_as_values_items_and_keys() {
        assert_eq!(
            found("a: on\nb: [x, NO]\ny: 1\nc: \"on\"\nd: true\n"),
            [
                "1: kubectl apply reads `on` as true, kustomize as a text",
                "2: kubectl apply reads `NO` as false, kustomize as a text",
                "3: kubectl apply reads `y` as true, kustomize as a text",
            ]
        );
        assert!(found("a: 'no'\nb: yEs\nc: |\n  on\nd: on the way\n").is_empty());
    }

    #[test]
    fn a_merge_is_told_where_its_place_decides() {
        let base = "x: &x {a: 1, b: 2}\n";
        assert_eq!(found(&format!("{base}y2:\n  a: 3\n  <<: *x\n")).len(), 1);
        assert!(found(&format!("{base}y2:\n  <<: *x\n  a: 3\n")).is_empty());
        assert!(found(&format!("{base}y2:\n  c: 3\n  <<: *x\n")).is_empty());
    }
}
