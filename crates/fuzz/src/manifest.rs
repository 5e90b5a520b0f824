//! Any bytes as a manifest, a kustomization and a file of variables: nothing panics, and every mark
//! lies in the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stagegate_core::{Mark, Node};
use stagegate_manifest::{Format, Profile, Source, Sources, ambiguities, decode, dotenv, load};
use stagegate_render::{Kustomization, read_plain};

fuzz_target!(|data: &[u8]| {
    let sources = Sources::new();
    let file = sources.add("a.yaml".to_owned(), decode(data.to_vec()));
    let Some(source) = sources.get(file) else {
        return;
    };
    for profile in [Profile::Apply, Profile::Kustomize] {
        for format in [Format::Yaml, Format::Json] {
            let loaded = load(file, &source, format, profile);
            loaded
                .documents
                .iter()
                .for_each(|node| inside(node, &source));
            for problem in &loaded.problems {
                assert!(is_inside(problem.mark, &source));
                sources.locate(problem.mark);
            }
        }
        read_plain(file, &source, profile, "root");
    }
    for ambiguity in ambiguities(file, &source) {
        assert!(is_inside(ambiguity.mark, &source));
    }
    inside(&dotenv(file, &source), &source);
    let _ = Kustomization::read(file, &source);
});

fn inside(node: &Node, source: &Source) {
    assert!(is_inside(node.mark, source));
    node.items().iter().for_each(|item| inside(item, source));
    for entry in node.entries() {
        assert!(is_inside(entry.key_mark, source));
        inside(&entry.node, source);
    }
}

fn is_inside(mark: Mark, source: &Source) -> bool {
    mark.start <= mark.end && mark.start as usize <= source.text.len()
}
