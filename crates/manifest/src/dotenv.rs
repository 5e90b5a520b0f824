//! Variables for an environment, one a line: `.env` files.

use stagegate_core::{Entry, FileId, MapBuilder, Mark, Node, Str, Value};

use crate::Source;
use crate::yaml::offset;

/// Reads the variables of a `.env` file: an object of texts. Lines that set nothing are passed over;
/// of two that set one variable the last counts, as for most programs.
pub fn dotenv(file: FileId, source: &Source) -> Node {
    let text = source.text.as_str();
    let mark = |start: usize, end: usize| Mark::new(file, offset(start), offset(end));
    let mut map = MapBuilder::default();
    // Quotes that nothing closes any more: looked for once.
    let mut unclosed: Vec<char> = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let line_end = memchr::memchr(b'\n', &text.as_bytes()[start..])
            .map_or(text.len(), |length| start + length);
        let mut end = line_end;
        if let Some((name, value)) = assignment(text, start, line_end) {
            let value = match quoted(text, value, &mut unclosed) {
                Some((range, behind)) => {
                    // A text in quotes may hold lines.
                    end = memchr::memchr(b'\n', &text.as_bytes()[behind..])
                        .map_or(text.len(), |length| behind + length);
                    range
                }
                None => plain(text, value, line_end),
            };
            map.push(Entry {
                key: Str::new(&text[name.0..name.1]),
                key_mark: mark(name.0, name.1),
                node: Node {
                    mark: mark(value.0, value.1),
                    value: Value::String(Str::new(&text[value.0..value.1])),
                },
            });
        }
        start = end + 1;
    }
    Node {
        mark: mark(0, text.len()),
        value: Value::Object(map.finish()),
    }
}

/// A half-open range of bytes.
type Range = (usize, usize);

/// The name that a line sets, and where its value begins.
fn assignment(text: &str, start: usize, end: usize) -> Option<(Range, usize)> {
    let line = &text[start..end];
    let equals = line.find('=')?;
    let before = line[..equals].trim();
    let name = before
        .strip_prefix("export ")
        .map_or(before, str::trim_start);
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let name_start = start + line[..equals].rfind(name)?;
    let behind = &line[equals + 1..];
    let blank = behind.len() - behind.trim_start().len();
    let value = (start + equals + 1 + blank).min(end);
    Some(((name_start, name_start + name.len()), value))
}

/// The text between quotes that begins at an offset, and the offset behind them.
fn quoted(text: &str, at: usize, unclosed: &mut Vec<char>) -> Option<(Range, usize)> {
    let quote = text[at..].chars().next().filter(|c| "'\"`".contains(*c))?;
    if unclosed.contains(&quote) {
        return None;
    }
    let mut escaped = false;
    for (i, c) in text[at + 1..].char_indices() {
        match c {
            c if c == quote && !escaped => return Some(((at + 1, at + 1 + i), at + 2 + i)),
            '\\' if quote == '"' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    unclosed.push(quote);
    None
}

/// The text up to the end of the line or a comment.
fn plain(text: &str, at: usize, end: usize) -> Range {
    let value = &text[at..end];
    let value = value.find(" #").map_or(value, |comment| &value[..comment]);
    (at, at + value.trim_end().len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Sources, decode};

    fn read(text: &str) -> Node {
        let sources = Sources::new();
        let file = sources.add(".env".to_owned(), decode(text.into()));
        dotenv(file, &sources.get(file).unwrap())
    }

    #[test]
    fn variables_are_read_with_their_places() {
        let text = "# comment\nA=1\nexport B = 'two words' # why\nC=\"x\ny\"\n\nD=a b # c\nE=\nnothing\nA=2\n=x\n";
        let node = read(text);
        let found: Vec<(&str, &str)> = node
            .entries()
            .iter()
            .map(|e| (e.key.as_str(), e.node.as_str().unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                ("A", "2"),
                ("B", "two words"),
                ("C", "x\ny"),
                ("D", "a b"),
                ("E", "")
            ]
        );
        let b = &node.entries()[1];
        assert_eq!(
            &text[b.key_mark.start as usize..b.key_mark.end as usize],
            "B"
        );
        assert_eq!(
            &text[b.node.mark.start as usize..b.node.mark.end as usize],
            "two words"
        );
    }

    proptest! {
        /// Every value is the text at its mark.
        #[test]
        fn any_text_is_read(text in "[A-C= #'\"\\\\ä\n]{0,60}") {
            for entry in read(&text).entries() {
                let mark = entry.node.mark;
                prop_assert_eq!(entry.node.as_str(), text.get(mark.start as usize..mark.end as usize));
            }
        }
    }
}
