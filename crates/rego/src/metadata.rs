//! `# METADATA` blocks, as OPA has them: YAML in comments.

use std::sync::Arc;

use stagegate_core::{Node, Value};
use stagegate_manifest::{Format, Profile, Source, decode};

use crate::LoadError;
use crate::module::Place;

/// The block that stands before a module's package.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) root: Node,
}

impl Metadata {
    /// Reads the last block before the package; none where there is none. The text is a whole file.
    pub(crate) fn read(text: &str, place: &Place) -> Result<Option<Metadata>, LoadError> {
        let Some(range) = block(text) else {
            return Ok(None);
        };
        // Everything but the block's content becomes blank, so that the reader's places are right.
        let blank = |part: &str| -> String {
            let keep = |c: char| {
                if c == '\n' {
                    c.to_string()
                } else {
                    " ".repeat(c.len_utf8())
                }
            };
            part.chars().map(keep).collect()
        };
        let content: String = text[range.clone()]
            .split_inclusive('\n')
            .map(|line| line.replacen('#', " ", 1))
            .collect();
        let yaml = format!(
            "{}{content}{}",
            blank(&text[..range.start]),
            blank(&text[range.end..])
        );
        let file = place.file;
        let sources = stagegate_manifest::Sources::new();
        let id = sources.add(place.source.path.clone(), decode(yaml.into_bytes()));
        let source: Arc<Source> = sources.get(id).unwrap_or_else(|| Arc::clone(&place.source));
        let loaded = stagegate_manifest::load(file, &source, Format::Yaml, Profile::Kustomize);
        if let Some(problem) = loaded.problems.first() {
            return Err(LoadError {
                mark: problem.mark,
                message: format!("the METADATA block is no YAML: {}", problem.message),
                help: None,
            });
        }
        let Some(root) = loaded.documents.into_iter().next() else {
            return Ok(None);
        };
        if !matches!(root.value, Value::Object(_)) {
            return Err(LoadError {
                mark: root.mark,
                message: "the METADATA block must be keys with values".to_owned(),
                help: None,
            });
        }
        Ok(Some(Metadata { root }))
    }

    /// A text at the top of the block.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.root.get(key).and_then(Node::as_str)
    }

    /// Something under `custom`.
    pub(crate) fn custom(&self, key: &str) -> Option<&Node> {
        self.root.get("custom")?.get(key)
    }
}

/// The lines of the block behind its first: up to the first that is no comment.
fn block(text: &str) -> Option<std::ops::Range<usize>> {
    let mut offset = 0;
    let mut found: Option<std::ops::Range<usize>> = None;
    let mut open = false;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let end = offset + line.len();
        if let Some(comment) = trimmed.strip_prefix('#') {
            if comment.trim() == "METADATA" {
                found = Some(end..end);
                open = true;
            } else if open && let Some(range) = &mut found {
                range.end = end;
            }
        } else {
            open = false;
            // What stands behind the package describes a rule.
            if trimmed.starts_with("package ") || trimmed.starts_with("package[") {
                return found;
            }
        }
        offset = end;
    }
    None
}
