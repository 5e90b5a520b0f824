//! A YAML stream to its documents, as kubectl splits it: by lines, before any YAML is read.

use std::ops::Range;

/// A document's text, or a separator that kubectl refuses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The text between two separators.
    Document(Range<usize>),
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
        None => parts.push(Part::Document(range)),
    };
    let finder = memchr::memmem::Finder::new(b"\n---");
    let first = text.starts_with("---").then_some(0);
    for line in first.into_iter().chain(finder.find_iter(text.as_bytes()).map(|i| i + 1)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Vec<&str> {
        split(text)
            .into_iter()
            .map(|part| match part {
                Part::Document(range) => &text[range],
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
    fn text_behind_a_separator_is_refused() {
        assert_eq!(documents("--- {a: 1}\n---\nb\n"), ["bad", "b\n"]);
        assert_eq!(documents("a\n---foo\nc"), ["a\n", "bad"]);
        assert_eq!(split("a\n--- x \nc")[1], Part::BadSeparator(2..7));
    }
}
