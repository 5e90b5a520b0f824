//! Any bytes as `stagegate.yaml`: a configuration, or mistakes that all have a place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stagegate_config::Config;
use stagegate_manifest::{Sources, decode};

fuzz_target!(|data: &[u8]| {
    let mut bytes = b"apiVersion: stagegate.dev/v1alpha1\nkind: Config\n".to_vec();
    bytes.extend_from_slice(data);
    let sources = Sources::new();
    let file = sources.add("stagegate.yaml".to_owned(), decode(bytes));
    let Some(source) = sources.get(file) else {
        return;
    };
    let policies = stagegate_policies::all();
    match Config::read(file, &source, policies.iter().map(|p| p.meta())) {
        Ok(config) => {
            config.unknown_stages(&["dev"]);
            assert!(stagegate_core::Engine::new(policies, config.settings).is_ok());
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(sources.locate(error.mark).is_some());
            }
        }
    }
});
