//! A YAML stream to nodes: kubectl's splitting, granit-parser's events, our tree.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};
use stagegate_core::{FileId, MAX_DEPTH, Mark, Node, Value};

use crate::builder::Builder;
use crate::decode::BOM;
use crate::split::{Part, split};
use crate::{Loaded, NOT_UTF8, Problem, ProblemKind, Profile, Source};

/// Reads the documents of a YAML stream. Each is read by itself, as kubectl does: anchors do not
/// reach over `---`, and a mistake in one loses none of the others.
pub(crate) fn load(file: FileId, source: &Source, profile: Profile) -> Loaded {
    let mut loaded = Loaded::default();
    let text = source.text.as_str();
    for part in split(text) {
        match part {
            Part::Document(range) => {
                let invalid = source.invalid.iter().copied().find(|i| range.contains(i));
                let document = Document { file, base: range.start, text: &text[range], profile };
                match invalid {
                    None => document.load(&mut loaded),
                    Some(at) => loaded
                        .problems
                        .push(document.problem(at - document.base, NOT_UTF8.to_owned())),
                }
            }
            Part::BadSeparator(range) => loaded.problems.push(Problem {
                mark: Mark::new(file, offset(range.start), offset(range.end)),
                message: "only a comment may stand behind `---`: kubectl refuses this separator \
                          and all that follows; begin the document on the next line"
                    .to_owned(),
                kind: ProblemKind::Unreadable,
            }),
        }
    }
    loaded
}

/// One document of a stream.
struct Document<'a> {
    file: FileId,
    /// Where the document begins in its file.
    base: usize,
    text: &'a str,
    profile: Profile,
}

impl<'a> Document<'a> {
    fn load(mut self, loaded: &mut Loaded) {
        // A byte order mark may stand at the beginning of every document.
        if let Some(rest) = self.text.strip_prefix(BOM) {
            self.base += BOM.len_utf8();
            self.text = rest;
        }
        if let Some(problem) = self.unreadable() {
            loaded.problems.push(problem);
            return;
        }
        let mut builder =
            Builder::new(self.file, self.base, self.text, self.profile, &mut loaded.problems);
        match self.parse(&mut builder) {
            Ok((root, ignored)) => {
                loaded.documents.extend(root.filter(|n| !matches!(n.value, Value::Null)));
                loaded.problems.extend(ignored);
            }
            Err(problem) => loaded.problems.push(problem),
        }
    }

    /// What no YAML text may hold, and kubectl does not take.
    fn unreadable(&self) -> Option<Problem> {
        let nul = memchr::memchr(0, self.text.as_bytes())?;
        Some(self.problem(nul, "a NUL byte has no place in YAML".to_owned()))
    }

    /// The value of the document, and what stands behind its end.
    fn parse(&self, builder: &mut Builder<'_>) -> Result<(Option<Node>, Option<Problem>), Problem> {
        let mut options = Options::default();
        options.disallow_directives = true;
        options.set_emit_comments(false);
        options.flow_nesting_limit = MAX_DEPTH;
        options.block_nesting_limit = MAX_DEPTH;
        // Where block scalars stand: in them a tab is content.
        let mut blocks: Vec<(usize, usize)> = Vec::new();
        let has_tab = memchr::memchr(b'\t', self.text.as_bytes()).is_some();
        let mut parser = Parser::new_from_str_with_options(self.text, options);
        let mut root = None;
        let mut ignored = None;
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| {
                let at = error.marker().byte_offset().unwrap_or_default();
                self.problem(at, explain(error.info(), self.text, at))
            })?;
            let range = bytes(&span, self.text.len());
            match event {
                Event::DocumentStart(..) if root.is_some() => {
                    ignored = Some(Problem {
                        mark: self.mark(range.0, range.0 + 1),
                        message: "kubectl ignores what stands behind `...` without a `---`; \
                                  begin the document with `---`"
                            .to_owned(),
                        kind: ProblemKind::Ignored,
                    });
                    break;
                }
                Event::Scalar(value, style, anchor, tag) => {
                    if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) && has_tab {
                        blocks.push(range);
                    }
                    let tag = tag.as_deref();
                    builder.scalar(&value, style, anchor, tag, range)?;
                }
                Event::Alias(id) => builder.alias(id, range)?,
                Event::SequenceStart(_, anchor, _) => builder.start_sequence(anchor, range)?,
                Event::MappingStart(_, anchor, _) => builder.start_mapping(anchor, range)?,
                Event::SequenceEnd | Event::MappingEnd => builder.end(range)?,
                _ => {}
            }
            if let Some(node) = builder.take_root() {
                root = Some(node);
            }
        }
        if has_tab && let Some(at) = self.tab_alone(&blocks) {
            return Err(self.problem(
                at,
                "a line of white space with a tab: kubectl refuses it; use spaces or leave the \
                 line empty"
                    .to_owned(),
            ));
        }
        Ok((root, ignored))
    }

    /// The first line that holds nothing but white space with a tab in it, outside of block
    /// scalars (`blocks`, in their order): granit-parser lets it pass, go-yaml does not.
    fn tab_alone(&self, blocks: &[(usize, usize)]) -> Option<usize> {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            let tab = start + memchr::memchr(b'\t', line.as_bytes()).unwrap_or(line.len());
            if tab < start + line.len() && line.trim_ascii().is_empty() {
                let next = blocks.partition_point(|(_, end)| *end < tab);
                if blocks.get(next).is_none_or(|(from, _)| tab < *from) {
                    return Some(tab);
                }
            }
            start += line.len();
        }
        None
    }

    fn mark(&self, start: usize, end: usize) -> Mark {
        Mark::new(self.file, offset(self.base + start), offset(self.base + end))
    }

    fn problem(&self, at: usize, message: String) -> Problem {
        Problem { mark: self.mark(at, at + 1), message, kind: ProblemKind::Unreadable }
    }
}

/// The offsets of a span in the text.
fn bytes(span: &Span, len: usize) -> (usize, usize) {
    let start = span.start.byte_offset().unwrap_or(len);
    (start, span.end.byte_offset().unwrap_or(start).max(start))
}

pub(crate) fn offset(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The parser's message, with what would be right where that can be told from the text.
fn explain(message: String, text: &str, at: usize) -> String {
    let line = memchr::memrchr(b'\n', &text.as_bytes()[..at.min(text.len())]).map_or(0, |i| i + 1);
    let indentation =
        text.as_bytes()[line..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    if text.as_bytes()[line..line + indentation].contains(&b'\t') {
        return format!("{message}; YAML is indented with spaces, and this line begins with a tab");
    }
    if text[line..].trim_start().starts_with("{{") {
        return format!("{message}; this looks like a template that was not rendered");
    }
    message
}
