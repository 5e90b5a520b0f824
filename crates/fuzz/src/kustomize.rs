//! Trees of kustomizations: `=== path` begins a file. Every one gets an answer.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use stagegate_render::{ExternalKustomize, Kustomize, LoadRestrictions, Renderer, Tree};

fuzz_target!(|text: &str| {
    let folder = Folder::new();
    for part in text.split("=== ").skip(1) {
        let (path, content) = part.split_once('\n').unwrap_or((part, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "./-_".contains(c);
        if path.is_empty() || path.len() > 60 || path.contains("..") || !path.chars().all(is_plain)
        {
            continue;
        }
        let path = folder.0.join(path.trim_start_matches('/'));
        if let Some(parent) = path.parent() {
            let _ = fs::create_dir_all(parent);
        }
        let _ = fs::write(path, content);
    }
    let Ok(tree) = Tree::new(&folder.0) else {
        return;
    };
    let renderer = Kustomize::new(ExternalKustomize::forbidden(), LoadRestrictions::default());
    let first = renderer.render("overlay", &tree);
    let again = renderer.render("overlay", &tree);
    assert_eq!(first.failures, again.failures);
    for (a, b) in first.objects.iter().zip(&again.objects) {
        assert_eq!(a.node, b.node);
    }
});

/// A folder in memory where there is one, emptied in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let shared = Path::new("/dev/shm");
        let parent = if shared.is_dir() {
            shared.to_owned()
        } else {
            std::env::temp_dir()
        };
        let folder = parent.join(format!("stagegate-fuzz-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let _ = fs::create_dir_all(&folder);
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
