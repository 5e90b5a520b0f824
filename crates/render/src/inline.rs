//! Texts inside of files that are YAML themselves: inline patches and plugins.

use stagegate_core::{Mark, Node};
use stagegate_manifest::{Format, Loaded, Profile, Sources, decode, load_exactly};

/// Reads a text that stands in a file; marks point into that file.
pub(crate) fn inline(text: &Node, sources: &Sources, profile: Profile, is_trimmed: bool) -> Loaded {
    let inner = text
        .as_str()
        .map(|text| if is_trimmed { text.trim_end() } else { text });
    let (Some(inner), Some(outer)) = (inner, sources.get(text.mark.file)) else {
        return Loaded::default();
    };
    // A table of its own: the text is no file.
    let own = Sources::new();
    let file = own.add(String::new(), decode(inner.into()));
    let Some(source) = own.get(file) else {
        return Loaded::default();
    };
    let mut loaded = load_exactly(file, &source, Format::Yaml, profile);
    let raw = &outer.text[text.mark.start as usize..text.mark.end as usize];
    let place = Inline {
        mark: text.mark,
        positions: positions(raw, &source.text),
    };
    for document in &mut loaded.documents {
        document.for_each_mark_mut(&mut |mark| *mark = place.outer_mark(*mark));
    }
    for problem in &mut loaded.problems {
        problem.mark = place.outer_mark(problem.mark);
    }
    loaded
}

/// A text inside a scalar of a file.
struct Inline {
    mark: Mark,
    positions: Option<Vec<u32>>,
}

impl Inline {
    /// The place in the file of a place in the text; the whole text if it cannot be told.
    fn outer_mark(&self, inner: Mark) -> Mark {
        let at = |position: u32| self.positions.as_ref()?.get(position as usize).copied();
        let start = at(inner.start);
        let end = match inner.end {
            end if end > inner.start => at(end - 1).map(|last| last + 1),
            _ => start,
        };
        match (start, end) {
            (Some(start), Some(end)) => Mark {
                file: self.mark.file,
                start: self.mark.start + start,
                end: (self.mark.start + end).min(self.mark.end),
            },
            _ => self.mark,
        }
    }
}

/// Where in a scalar as it is written each byte of its text stands, and the end. Indentation,
/// quotes and escapes are what the two differ in; where they differ otherwise, it is not told.
fn positions(raw: &str, text: &str) -> Option<Vec<u32>> {
    let bytes = raw.as_bytes();
    let is_space = |at: usize| matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n'));
    let style = bytes.first().copied();
    let is_block = matches!(style, Some(b'|' | b'>'));
    let mut at = match style {
        Some(b'|' | b'>') => raw.find('\n')? + 1,
        Some(b'"' | b'\'') => 1,
        _ => 0,
    };
    let mut found = Vec::with_capacity(text.len() + 1);
    for c in text.chars() {
        let (mut place, mut length) = (at, c.len_utf8());
        loop {
            let is_after_break = place > 0 && bytes.get(place - 1) == Some(&b'\n');
            if !is_block && is_after_break {
                // The indentation of a further line is no part of its text.
                let indentation = raw.get(place..)?.bytes();
                place += indentation
                    .take_while(|b| matches!(b, b' ' | b'\t'))
                    .count();
            }
            let rest = raw.get(place..)?;
            if style == Some(b'"') && rest.starts_with('\\') {
                if is_space(place + 1) && !rest[1..].starts_with([' ', '\t']) {
                    // A break that is escaped joins its lines.
                    place += 2;
                    continue;
                }
                length = match rest.as_bytes().get(1)? {
                    b'x' => 4,
                    b'u' => 6,
                    b'U' => 10,
                    _ => 2,
                };
                // A quote is known by its place.
                let of_two = usize::from(length == 2);
                place += of_two;
                length -= of_two;
                break;
            }
            if style == Some(b'\'') && c == '\'' && rest.starts_with("''") {
                place += 1;
                break;
            }
            if rest.starts_with(c) {
                break;
            }
            let is_end = place == raw.len() && c == '\n';
            if is_end || (is_space(place) && c.is_ascii_whitespace()) {
                // What is folded, or the last break of a block at the end of its file.
                break;
            }
            if !is_space(place) {
                return None;
            }
            place += 1;
        }
        for i in 0..c.len_utf8() {
            found.push(u32::try_from((place + i).min(raw.len())).ok()?);
        }
        at = (place + length).min(raw.len());
    }
    found.push(u32::try_from(at).ok()?);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_of_a_text_is_found_where_it_is_written() {
        for (raw, text) in [
            (
                "|-\n    a: 1\n      b: 2\n\n    c: é",
                "a: 1\n  b: 2\n\nc: é",
            ),
            ("|\r\n  a: 1\r\n  b: 2\r\n", "a: 1\nb: 2\n"),
            (">\n  {a: 1,\n  b: 2}\n\n  c\n", "{a: 1, b: 2}\nc\n"),
            (r#""a: \"1\"\n\x62: \u00e9 \\ c""#, "a: \"1\"\nb: é \\ c"),
            ("\"a: \\\n   1  \n  b\"", "a: 1 b"),
            ("'a: ''1'' \\n\n\n b'", "a: '1' \\n\nb"),
            ("a: [1,\n   2]", "a: [1, 2]"),
            (
                "\"a:\\n\\\n   \\  b: 1\\n\\\n\n  \\  c: 2\"",
                "a:\n  b: 1\n\n  c: 2",
            ),
        ] {
            let found = positions(raw, text).unwrap();
            assert!(found.is_sorted(), "{raw:?}");
            for (i, c) in text.char_indices() {
                let there = &raw[found[i] as usize..];
                let is_escaped = ["x62", "u00e9"]
                    .iter()
                    .any(|e| raw[..].contains(e) && matches!(c, 'b' | 'é'));
                assert!(
                    there.starts_with(c) || c.is_whitespace() || is_escaped,
                    "{c:?} of {text:?} is found at {there:?}"
                );
            }
        }
        assert_eq!(positions("'other'", "another"), None);
    }
}
