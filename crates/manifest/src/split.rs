//! A YAML stream to its documents, as kubectl splits it: by lines, before any YAML is read.

use std::ops::Range;

/// A document's text, or a separator that kubectl refuses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The text between two separators, up to the first `...`.
    Document(Range<usize>),
    /// What stands behind `...` up to the next separator, and is no comment.
    BehindEnd(Range<usize>),
    /// Something other than a comment stands behind `---`; what follows up to the next separator
    /// belongs to it.
    BadSeparator(Range<usize>),
}

/// Splits at lines that begin with `---`, wherever they stand: also inside a block scalar, where
/// kubectl ends the document too.
pub(crate) fn split(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut bad: Option<Range<usize>> = None;
    let mut push = |bad: Option<Range<usize>>, range: Range<usize>| match bad {
        Some(separator) => parts.push(Part::BadSeparator(separator)),
        None if range.is_empty() => {}
        None => match end_marker(&text[range.clone()]) {
            None => parts.push(Part::Document(range)),
            Some(end) => {
                let end = range.start + end;
                parts.push(Part::Document(range.start..end));
                let rest = end..range.end;
                if text[rest.clone()].lines().any(is_content) {
                    parts.push(Part::BehindEnd(rest));
                }
            }
        },
    };
    let finder = memchr::memmem::Finder::new(b"\n---");
    let first = text.starts_with("---").then_some(0);
    for line in first
        .into_iter()
        .chain(finder.find_iter(text.as_bytes()).map(|i| i + 1))
    {
        push(bad.take(), start..line);
        let end = memchr::memchr(b'\n', &text.as_bytes()[line..]).map_or(text.len(), |i| line + i);
        let rest = text[line + 3..end].trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            bad = Some(line..line + text[line..end].trim_end().len());
        }
        start = (end + 1).min(text.len());
    }
    push(bad, start..text.len());
    parts
}

/// The offset behind the `...` that ends a document, if one does. The marker stays part
/// of the document, whose reader knows what may stand before it.
fn end_marker(document: &str) -> Option<usize> {
    let finder = memchr::memmem::Finder::new(b"\n...");
    let line = if document.starts_with("...") {
        0
    } else {
        finder.find(document.as_bytes())? + 1
    };
    let behind = &document[line + 3..];
    behind
        .starts_with(|c: char| c.is_ascii_whitespace())
        .then_some(line + 3)
}

/// Whether a line is neither blank, nor a comment, nor a directive.
fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with(['#', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Vec<&str> {
        split(text)
            .into_iter()
            .map(|part| match part {
                Part::Document(range) => &text[range],
                Part::BehindEnd(_) => "ignored",
                Part::BadSeparator(_) => "bad",
            })
            .collect()
    }

    #[test]
    fn separators_may_have_comments_and_stand_in_block_scalars() {
        assert_eq!(documents("a\n---\nb\n"), ["a\n", "b\n"]);
        assert_eq!(documents("---\na\n--- # second\nb"), ["a\n", "b"]);
        assert_eq!(documents("a: |\n  x\n---\n  y\n"), ["a: |\n  x\n", "  y\n"]);
        assert_eq!(documents("--- \t\r\na\r\n---\r\n"), ["a\r\n"]);
        assert_eq!(documents(" ---\n"), [" ---\n"]);
        assert_eq!(documents(""), [""; 0]);
    }

    #[test]
    fn a_document_may_end_before_the_next_begins() {
        assert_eq!(documents("a\n...\n---\nb\n..."), ["a\n...", "b\n..."]);
        assert_eq!(documents("a\n... # c\n%YAML 1.2\n---\nb"), ["a\n...", "b"]);
        assert_eq!(documents("a\n...\n}\n---\nb"), ["a\n...", "ignored", "b"]);
        assert_eq!(documents("a\n...b\n"), ["a\n...b\n"]);
    }

    #[test]
    fn text_behind_a_separator_is_refused() {
        assert_eq!(documents("--- {a: 1}\n---\nb\n"), ["bad", "b\n"]);
        assert_eq!(documents("a\n---foo\nc"), ["a\n", "bad"]);
        assert_eq!(split("a\n--- x \nc")[1], Part::BadSeparator(2..7));
    }
}
