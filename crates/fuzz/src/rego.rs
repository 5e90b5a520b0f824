//! Any bytes as a module of Rego: policies, or mistakes that all have a place. Nothing is evaluated
//! here but what compiling does.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stagegate_manifest::{Sources, decode};
use stagegate_rego::{Folder, PolicyFile, load};

fuzz_target!(|data: &[u8]| {
    let sources = Sources::new();
    let path = "p.rego";
    let file = sources.add(path.to_owned(), decode(data.to_vec()));
    let Some(source) = sources.get(file) else {
        return;
    };
    let folder = Folder {
        files: vec![PolicyFile {
            path: path.to_owned(),
            file,
            source,
        }],
        packages: vec!["main".to_owned(), "t".to_owned()],
    };
    if let Err(errors) = load(&folder) {
        assert!(!errors.is_empty());
        for error in errors {
            assert!(sources.locate(error.mark).is_some());
        }
    }
});
