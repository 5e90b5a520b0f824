//! The part of YAML that most manifests are written in, read in one pass over their lines.
//!
//! Block mappings and lists, scalars and simple brackets on one line, literal blocks, comments, ASCII. At anything else,
//! and at anything wrong, it gives up, and the whole document is read by granit-parser, which also
//! words the errors. What it does read is what the long way gives, marks included: the tests in
//! `yaml.rs` hold every document of testdata and millions of generated ones against it. It is here
//! because nearly all of a lint run's time is reading: see BENCHMARKS.md.

use stagegate_core::{Entry, FileId, MapBuilder, Mark, Node, Str, Value};

use crate::yaml::offset;
use crate::{Profile, scalar};

/// Deeper documents go the long way, which bounds them.
const MAX_DEPTH: usize = 64;

/// Reads a document. `None` where it is not written in this part of YAML, right or wrong.
pub(crate) fn read(file: FileId, base: usize, text: &str, profile: Profile) -> Option<Node> {
    // A tab, a carriage return or a letter beyond ASCII may mean what only the long way knows.
    if !text
        .bytes()
        .all(|b| (b' '..=b'~').contains(&b) || b == b'\n')
    {
        return None;
    }
    let mut reader = Reader {
        file,
        base,
        text,
        bytes: text.as_bytes(),
        profile,
        line: Line::default(),
    };
    reader.next_line(0);
    if reader.line.at_end || reader.line.indent != 0 {
        return None;
    }
    let root = reader.mapping(0, reader.line.content, 0)?.0;
    reader.line.at_end.then_some(root)
}

struct Reader<'a> {
    file: FileId,
    base: usize,
    text: &'a str,
    bytes: &'a [u8],
    profile: Profile,
    line: Line,
}

/// The line that is next to be read: neither blank nor a comment.
#[derive(Clone, Copy, Default)]
struct Line {
    indent: usize,
    /// Offset of its first character that is no space.
    content: usize,
    /// Offset of its line feed, or the end of the text.
    end: usize,
    /// There is no such line any more.
    at_end: bool,
}

/// A node and the offset behind it, which its collections end at too.
type Read = Option<(Node, usize)>;

impl Reader<'_> {
    /// Goes to the first line of content at or behind an offset, which begins a line.
    fn next_line(&mut self, mut start: usize) {
        while start < self.bytes.len() {
            let end = self.line_end(start);
            let line = &self.bytes[start..end];
            let indent = line.iter().take_while(|b| **b == b' ').count();
            if indent < line.len() && line[indent] != b'#' {
                self.line = Line {
                    indent,
                    content: start + indent,
                    end,
                    at_end: false,
                };
                return;
            }
            start = end + 1;
        }
        self.line.at_end = true;
    }

    /// A plain scalar. What other programs read otherwise goes the long way, which notes it.
    fn meaning(&self, text: &str) -> Option<Value> {
        let value = scalar::plain(text, self.profile).ok()?;
        let is_boolean = matches!(value, Value::Bool(_));
        (!is_boolean || !scalar::is_old_boolean(text)).then_some(value)
    }

    /// Whether the next line is a list's item at this indentation.
    fn at_item(&self, indent: usize) -> bool {
        !self.line.at_end && self.line.indent == indent && self.is_dash(self.line.content)
    }

    fn is_dash(&self, at: usize) -> bool {
        self.bytes.get(at) == Some(&b'-')
            && matches!(self.bytes.get(at + 1), Some(b' ' | b'\n') | None)
    }

    /// A mapping whose keys stand at `indent`, the first of them at `at`.
    fn mapping(&mut self, indent: usize, mut at: usize, depth: usize) -> Read {
        if depth > MAX_DEPTH {
            return None;
        }
        let start = at;
        let mut map = MapBuilder::default();
        loop {
            let colon = self.key(at)?;
            let key_text = &self.text[at..colon];
            let Ok(Value::String(key)) = scalar::plain(key_text, self.profile) else {
                return None;
            };
            let (node, end) = self.value(indent, colon + 1, depth)?;
            let entry = Entry {
                key,
                key_mark: self.mark(at, colon),
                node,
            };
            // A key that stands twice is told by the long way.
            if map.push(entry).is_some() {
                return None;
            }
            let next = self.line;
            if next.at_end || next.indent < indent {
                let node = Node {
                    mark: self.mark(start, end),
                    value: Value::Object(map.finish()),
                };
                return Some((node, end));
            }
            if next.indent > indent || self.is_dash(next.content) {
                return None;
            }
            at = next.content;
        }
    }

    /// The offset of the colon behind a key that is plain beyond doubt.
    fn key(&self, at: usize) -> Option<usize> {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
        let len = self.bytes[at..].iter().take_while(|b| plain(b)).count();
        let begins = self
            .bytes
            .get(at)
            .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
        let colon = at + len;
        let separates = self.bytes.get(colon) == Some(&b':')
            && matches!(self.bytes.get(colon + 1), Some(b' ' | b'\n') | None);
        (begins && separates && len <= 512).then_some(colon)
    }

    /// The value behind a colon, whose key stands at `indent`.
    fn value(&mut self, indent: usize, behind: usize, depth: usize) -> Read {
        let end = self.line.end;
        let at = self.skip_spaces(behind, end);
        let comment = at > behind && self.bytes.get(at) == Some(&b'#');
        if at < end && !comment {
            return self.scalar(indent, at, end);
        }
        self.next_line(end + 1);
        let next = self.line;
        if next.at_end || next.indent < indent {
            return None;
        }
        if self.is_dash(next.content) {
            return self.list(next.indent, next.content, depth + 1);
        }
        if next.indent == indent {
            return None;
        }
        self.mapping(next.indent, next.content, depth + 1)
    }

    /// A list whose dashes stand at `indent`, the first of them at `at`.
    fn list(&mut self, indent: usize, mut at: usize, depth: usize) -> Read {
        if depth > MAX_DEPTH {
            return None;
        }
        let start = at;
        let mut items = Vec::new();
        loop {
            let line_end = self.line.end;
            let content = self.skip_spaces(at + 1, line_end);
            if content >= line_end || self.bytes[content] == b'#' {
                return None;
            }
            let column = indent + (content - at);
            let (node, end) = if self.is_dash(content) {
                self.list(column, content, depth + 1)?
            } else if self.key(content).is_some() {
                self.mapping(column, content, depth + 1)?
            } else {
                self.scalar(indent, content, line_end)?
            };
            items.push(node);
            if !self.at_item(indent) {
                if !self.line.at_end && self.line.indent > indent {
                    return None;
                }
                let node = Node {
                    mark: self.mark(start, end),
                    value: Value::Array(items),
                };
                return Some((node, end));
            }
            at = self.line.content;
        }
    }

    /// A scalar that begins at `at` and must end with its line; what holds it stands at `indent`.
    fn scalar(&mut self, indent: usize, at: usize, line_end: usize) -> Read {
        let (value, end) = match self.bytes[at] {
            b'|' => return self.literal(indent, at, line_end),
            b'"' | b'\'' => {
                let end = self.quoted(at, line_end)?;
                if !self.ends_line(end, line_end) {
                    return None;
                }
                (Value::String(Str::new(&self.text[at + 1..end - 1])), end)
            }
            b'{' | b'[' => {
                let (node, end) = self.flow(at, line_end, 0)?;
                if !self.ends_line(end, line_end) {
                    return None;
                }
                (node.value, end)
            }
            b'-' | b'?' | b':'
                if !self
                    .bytes
                    .get(at + 1)
                    .is_some_and(u8::is_ascii_alphanumeric) =>
            {
                // `--flag` is plain, and so is most of what begins with two dashes.
                if !self.text[at..line_end].starts_with("--") {
                    return None;
                }
                self.plain(at, line_end)?
            }
            b',' | b']' | b'}' | b'#' | b'&' | b'*' | b'!' | b'>' | b'%' | b'@' | b'`' => {
                return None;
            }
            _ => self.plain(at, line_end)?,
        };
        self.next_line(line_end + 1);
        // What is indented deeper would go on with this scalar.
        if !self.line.at_end && self.line.indent > indent {
            return None;
        }
        let node = Node {
            mark: self.mark(at, end),
            value,
        };
        Some((node, end))
    }

    /// The offset behind a quoted scalar without escapes.
    fn quoted(&self, at: usize, line_end: usize) -> Option<usize> {
        let inside = &self.bytes[at + 1..line_end];
        let close = memchr::memchr(self.bytes[at], inside)?;
        let doubled = self.bytes.get(at + 2 + close) == Some(&b'\'');
        let escaped = memchr::memchr(b'\\', &inside[..close]).is_some();
        (!escaped && !doubled).then_some(at + close + 2)
    }

    /// Whether nothing but a comment stands behind an offset.
    fn ends_line(&self, at: usize, line_end: usize) -> bool {
        let rest = self.skip_spaces(at, line_end);
        rest == line_end || (rest > at && self.bytes[rest] == b'#')
    }

    /// A collection in brackets that ends on its line and holds only what is plain beyond doubt.
    fn flow(&self, at: usize, line_end: usize, depth: usize) -> Read {
        let close = match self.bytes[at] {
            b'[' => b']',
            b'{' => b'}',
            _ => return self.flow_scalar(at, line_end),
        };
        if depth > MAX_DEPTH {
            return None;
        }
        let line = &self.bytes[..line_end];
        let mut items = Vec::new();
        let mut map = MapBuilder::default();
        let mut next = self.skip_spaces(at + 1, line_end);
        let mut is_done = *line.get(next)? == close;
        while !is_done {
            if close == b']' {
                let (node, end) = self.flow(next, line_end, depth + 1)?;
                items.push(node);
                next = end;
            } else {
                let colon = self.key(next).filter(|colon| *colon < line_end)?;
                let key = scalar::plain(&self.text[next..colon], self.profile);
                let Ok(Value::String(key)) = key else {
                    return None;
                };
                let value = self.skip_spaces(colon + 1, line_end);
                line.get(value)?;
                let (node, end) = self.flow(value, line_end, depth + 1)?;
                let entry = Entry {
                    key,
                    key_mark: self.mark(next, colon),
                    node,
                };
                if map.push(entry).is_some() {
                    return None;
                }
                next = end;
            }
            next = self.skip_spaces(next, line_end);
            match *line.get(next)? {
                b',' => next = self.skip_spaces(next + 1, line_end),
                byte if byte == close => is_done = true,
                _ => return None,
            }
            // A comma before the bracket is for the long way.
            if !is_done && *line.get(next)? == close {
                return None;
            }
        }
        let value = if close == b']' {
            Value::Array(items)
        } else {
            Value::Object(map.finish())
        };
        Some((
            Node {
                mark: self.mark(at, next + 1),
                value,
            },
            next + 1,
        ))
    }

    fn flow_scalar(&self, at: usize, line_end: usize) -> Read {
        if matches!(self.bytes[at], b'"' | b'\'') {
            let end = self.quoted(at, line_end)?;
            let value = Value::String(Str::new(&self.text[at + 1..end - 1]));
            return Some((
                Node {
                    mark: self.mark(at, end),
                    value,
                },
                end,
            ));
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_');
        let inside = |b: &&u8| word(**b) || matches!(b, b'-' | b'+' | b'=' | b'*');
        let len = self.bytes[at..line_end].iter().take_while(inside).count();
        let behind = self.bytes[..line_end].get(at + len);
        if !word(self.bytes[at]) || !matches!(behind, Some(b',' | b']' | b'}')) {
            return None;
        }
        let value = self.meaning(&self.text[at..at + len])?;
        Some((
            Node {
                mark: self.mark(at, at + len),
                value,
            },
            at + len,
        ))
    }

    fn plain(&self, at: usize, line_end: usize) -> Option<(Value, usize)> {
        let line = &self.text[at..line_end];
        let content = line
            .split_once(" #")
            .map_or(line, |(content, _)| content)
            .trim_end();
        if content.contains(": ") || content.ends_with(':') {
            return None;
        }
        Some((self.meaning(content)?, at + content.len()))
    }

    /// A literal block, `|` or `|-`, whose header begins at `at`.
    fn literal(&mut self, indent: usize, at: usize, line_end: usize) -> Read {
        let strip = match &self.text[at..line_end] {
            "|" => false,
            "|-" => true,
            _ => return None,
        };
        let mut start = line_end + 1;
        let inner = self
            .bytes
            .get(start..)?
            .iter()
            .take_while(|b| **b == b' ')
            .count();
        let first = *self.bytes.get(start + inner)?;
        if inner <= indent || first == b'\n' {
            return None;
        }
        let mut content = String::new();
        // Behind the last line with content, and how much of the content that is.
        let (mut end, mut kept) = (start, 0);
        while start < self.bytes.len() {
            let stop = self.line_end(start);
            let line = &self.text[start..stop];
            let spaces = line.bytes().take_while(|b| *b == b' ').count();
            if spaces == line.len() {
                if spaces > inner {
                    return None;
                }
                content.push('\n');
            } else if spaces < inner {
                // Between the two indentations stands a mistake, or a comment.
                if spaces > indent {
                    return None;
                }
                break;
            } else {
                content.push_str(&line[inner..]);
                content.push('\n');
                (end, kept) = (start + line.trim_ascii_end().len(), content.len());
            }
            start = stop + 1;
        }
        content.truncate(if strip { kept - 1 } else { kept });
        self.next_line(start);
        let node = Node {
            mark: self.mark(at, end),
            value: Value::String(Str::from(content)),
        };
        Some((node, end))
    }

    /// The offset of the line feed that ends the line of an offset, or the end of the text.
    fn line_end(&self, start: usize) -> usize {
        memchr::memchr(b'\n', &self.bytes[start..]).map_or(self.bytes.len(), |i| start + i)
    }

    fn skip_spaces(&self, at: usize, end: usize) -> usize {
        at + self.bytes[at.min(end)..end]
            .iter()
            .take_while(|b| **b == b' ')
            .count()
    }

    fn mark(&self, start: usize, end: usize) -> Mark {
        Mark::new(
            self.file,
            offset(self.base + start),
            offset(self.base + end),
        )
    }
}
