//! A YAML stream to nodes: kubectl's splitting, granit-parser's events, our tree.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};
use stagegate_core::{FileId, MAX_DEPTH, Mark, Node, Value};

use crate::builder::Builder;
use crate::decode::BOM;
use crate::split::{Part, split};
use crate::{Loaded, NOT_UTF8, Problem, ProblemKind, Profile, Source, fast};

/// Reads the documents of a YAML stream. Each is read by itself, as kubectl does: anchors do not
/// reach over `---`, and a mistake in one loses none of the others.
pub(crate) fn load(file: FileId, source: &Source, profile: Profile) -> Loaded {
    let mut loaded = Loaded::default();
    let text = source.text.as_str();
    for part in split(text) {
        match part {
            Part::Document(range) => {
                let invalid = source.invalid.iter().copied().find(|i| range.contains(i));
                let document = Document {
                    file,
                    base: range.start,
                    text: &text[range],
                    profile,
                };
                match invalid {
                    None => document.load(&mut loaded),
                    Some(at) => loaded
                        .problems
                        .push(document.problem(at - document.base, NOT_UTF8.to_owned())),
                }
            }
            Part::BehindEnd(range) => loaded.problems.push(Problem {
                mark: Mark::new(file, offset(range.start), offset(range.end)),
                message: "kubectl ignores what stands behind `...`; begin the document with `---`"
                    .to_owned(),
                kind: ProblemKind::Ignored,
            }),
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
        if let Some(node) = fast::read(self.file, self.base, self.text, self.profile) {
            loaded.documents.push(node);
            return;
        }
        self.load_slowly(loaded);
    }

    /// The long way: any YAML, and every error.
    fn load_slowly(&self, loaded: &mut Loaded) {
        if let Some(problem) = self.unreadable() {
            loaded.problems.push(problem);
            return;
        }
        let mut builder = Builder::new(
            self.file,
            self.base,
            self.text,
            self.profile,
            &mut loaded.problems,
        );
        let parsed = self.parse(&mut builder);
        loaded.ambiguous |= builder.ambiguous;
        match parsed {
            Ok(root) => loaded
                .documents
                .extend(root.filter(|n| !matches!(n.value, Value::Null))),
            Err(problem) => loaded.problems.push(problem),
        }
    }

    /// What no YAML text may hold, and kubectl does not take.
    fn unreadable(&self) -> Option<Problem> {
        let nul = memchr::memchr(0, self.text.as_bytes())?;
        Some(self.problem(nul, "a NUL byte has no place in YAML".to_owned()))
    }

    /// The value of the document; none where it is empty.
    fn parse(&self, builder: &mut Builder<'_>) -> Result<Option<Node>, Problem> {
        let mut options = Options::default();
        options.disallow_directives = true;
        options.set_emit_comments(false);
        options.flow_nesting_limit = MAX_DEPTH;
        options.block_nesting_limit = MAX_DEPTH;
        let mut parser = Parser::new_from_str_with_options(self.text, options);
        let mut quirks = Quirks::of(self.text);
        let mut root = None;
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| {
                let at = error.marker().byte_offset().unwrap_or_default();
                self.problem(at, explain(error.info(), self.text, at))
            })?;
            let range = bytes(&span, self.text.len());
            match event {
                Event::Scalar(value, style, anchor, tag) => {
                    quirks.scalar(style, range);
                    builder.scalar(&value, style, anchor, tag.as_deref(), range)?;
                }
                Event::Alias(id) => builder.alias(id, range)?,
                Event::SequenceStart(style, anchor, _) => {
                    builder.start_sequence(style, anchor, range)?;
                }
                Event::MappingStart(style, anchor, _) => {
                    builder.start_mapping(style, anchor, range)?;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(start) = builder.flow_start() {
                        quirks.flow(start, range.1);
                    }
                    builder.end(range)?;
                }
                _ => {}
            }
            if let Some(node) = builder.take_root() {
                if root.is_some() {
                    // kubectl splits at line feeds only; the first document is what it takes.
                    let mark = node.mark;
                    builder.ignored(mark);
                    break;
                }
                root = Some(node);
            }
        }
        // `...` ends a document, and cannot begin one.
        if root.is_none() && self.text.lines().any(|line| line.starts_with("...")) {
            return Err(self.problem(0, "a document cannot begin with `...`".to_owned()));
        }
        match quirks.first(self.text) {
            Some((at, message)) => Err(self.problem(at, message.to_owned())),
            None => Ok(root),
        }
    }

    fn mark(&self, start: usize, end: usize) -> Mark {
        Mark::new(
            self.file,
            offset(self.base + start),
            offset(self.base + end),
        )
    }

    fn problem(&self, at: usize, message: String) -> Problem {
        Problem {
            mark: self.mark(at, at + 1),
            message,
            kind: ProblemKind::Unreadable,
        }
    }
}

/// What granit-parser, which reads YAML 1.2, lets pass between tokens, and go-yaml, which reads
/// YAML 1.1, does not: tabs before nothing or a comment, and Unicode's line separators, at which
/// go-yaml ends a line, so that the rest of a comment would become content.
struct Quirks {
    possible: bool,
    /// Where these characters are content, in the order of the text.
    scalars: Vec<(usize, usize, ScalarStyle)>,
    /// Where tabs may stand between tokens.
    flows: Vec<(usize, usize)>,
}

const SEPARATORS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

impl Quirks {
    fn of(text: &str) -> Quirks {
        let possible = memchr::memchr(b'\t', text.as_bytes()).is_some()
            || (!text.is_ascii() && text.contains(SEPARATORS));
        Quirks {
            possible,
            scalars: Vec::new(),
            flows: Vec::new(),
        }
    }

    fn scalar(&mut self, style: ScalarStyle, (start, end): (usize, usize)) {
        if self.possible && style != ScalarStyle::Plain {
            self.scalars.push((start, end, style));
        }
    }

    fn flow(&mut self, start: usize, end: usize) {
        if self.possible {
            // Outer collections end after the inner ones that they hold.
            while self.flows.last().is_some_and(|(inner, _)| *inner > start) {
                self.flows.pop();
            }
            self.flows.push((start, end));
        }
    }

    fn scalar_at(&self, at: usize) -> Option<ScalarStyle> {
        let next = self.scalars.partition_point(|(_, end, _)| *end < at);
        self.scalars
            .get(next)
            .filter(|(start, ..)| *start <= at)
            .map(|(.., style)| *style)
    }

    fn in_flow(&self, at: usize) -> bool {
        let next = self.flows.partition_point(|(_, end)| *end < at);
        self.flows.get(next).is_some_and(|(start, _)| *start <= at)
    }

    /// The first place that kubectl would refuse or read differently, and what is wrong there.
    fn first(&self, text: &str) -> Option<(usize, &'static str)> {
        if !self.possible {
            return None;
        }
        self.tab(text).into_iter().chain(self.separator(text)).min()
    }

    fn tab(&self, text: &str) -> Option<(usize, &'static str)> {
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let blank = line.len() - line.trim_ascii_start().len();
            let rest = &line[blank..];
            if (rest.is_empty() || rest.starts_with('#'))
                && let Some(tab) = memchr::memchr(b'\t', &line.as_bytes()[..blank])
                && self.scalar_at(start + tab).is_none()
                && !self.in_flow(start + tab)
            {
                return Some((
                    start + tab,
                    "a line that begins with a tab: kubectl refuses it; use spaces",
                ));
            }
            start += line.len();
        }
        None
    }

    fn separator(&self, text: &str) -> Option<(usize, &'static str)> {
        text.match_indices(SEPARATORS)
            .find(|(at, separator)| *separator == "\u{85}" || self.scalar_at(*at).is_none())
            .map(|(at, _)| {
                (
                    at,
                    "a Unicode line separator: kubectl ends the line here, even in a comment; \
                     write it as an escape in double quotes",
                )
            })
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
    if message == "recursion limit exceeded" {
        return format!("nested deeper than {MAX_DEPTH} levels");
    }
    let line = memchr::memrchr(b'\n', &text.as_bytes()[..at.min(text.len())]).map_or(0, |i| i + 1);
    let indentation = text.as_bytes()[line..]
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    if text.as_bytes()[line..line + indentation].contains(&b'\t') {
        return format!("{message}; YAML is indented with spaces, and this line begins with a tab");
    }
    if text[line..].trim_start().starts_with("{{") {
        return format!("{message}; this looks like a template that was not rendered");
    }
    message
}

#[cfg(test)]
mod tests {
    use stagegate_core::Pointer;

    use super::*;
    use crate::{Sources, decode};

    #[test]
    fn marks_cover_what_was_written_wherever_the_document_stands() {
        let text = "# first\n---\nother: 1\n---\nlist:\n- name: ä\n  n: 1\n- b # end\nblock: |-\n  one\n  two\nflow: {a: [1, 2]} \nempty:\nquoted: \"x\\ty\"\nnested:\n    - - c\n";
        let sources = Sources::new();
        let file = sources.add(String::new(), decode(text.into()));
        let source = sources.get(file).unwrap();
        let loaded = load(file, &source, Profile::Apply);
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let slice = |pointer: &str| {
            let node = loaded.documents[1]
                .at(&Pointer::parse(pointer).unwrap())
                .unwrap();
            &text[node.mark.start as usize..node.mark.end as usize]
        };
        assert_eq!(slice("/list"), "- name: ä\n  n: 1\n- b");
        assert_eq!(slice("/list/0"), "name: ä\n  n: 1");
        assert_eq!(slice("/list/0/name"), "ä");
        assert_eq!(slice("/block").trim_end(), "|-\n  one\n  two");
        assert_eq!(slice("/flow"), "{a: [1, 2]}");
        assert_eq!(slice("/flow/a"), "[1, 2]");
        assert_eq!(slice("/empty"), "");
        assert_eq!(slice("/quoted"), "\"x\\ty\"");
        assert_eq!(slice("/nested"), "- - c");
        assert_eq!(slice("/nested/0"), "- c");
    }

    /// Reads every document both ways; gives how many could go the short one.
    fn hold_against_the_long_way(text: &str) -> (usize, usize) {
        let (mut short, mut all) = (0, 0);
        for part in split(text) {
            let Part::Document(range) = part else {
                continue;
            };
            for profile in [Profile::Apply, Profile::Kustomize] {
                let file = FileId(7);
                let document = Document {
                    file,
                    base: range.start,
                    text: &text[range.clone()],
                    profile,
                };
                all += 1;
                let Some(fast) = fast::read(file, document.base, document.text, profile) else {
                    continue;
                };
                short += 1;
                let mut loaded = Loaded::default();
                document.load_slowly(&mut loaded);
                assert!(loaded.problems.is_empty(), "{:?}\n{text}", loaded.problems);
                // With every mark, which equality leaves out.
                assert_eq!(
                    format!("{:?}", [fast]),
                    format!("{:?}", loaded.documents),
                    "{text}"
                );
            }
        }
        (short, all)
    }

    #[test]
    fn the_short_way_reads_what_the_long_way_does() {
        fn visit(folder: &std::path::Path, counts: &mut (usize, usize)) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    visit(&path, counts);
                } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                    let text = decode(std::fs::read(&path).unwrap()).text;
                    let (short, all) = hold_against_the_long_way(&text);
                    *counts = (counts.0 + short, counts.1 + all);
                }
            }
        }
        let testdata = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
        let mut counts = (0, 0);
        visit(&testdata, &mut counts);
        assert!(
            counts.0 * 10 > counts.1 * 3,
            "only {} of {} documents",
            counts.0,
            counts.1
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]
        #[test]
        fn the_short_way_reads_what_the_long_way_does_in_any_text(
            lines in proptest::collection::vec(
                ("( ){0,6}", "(- ){0,2}", "([ab](:|: |:  )){0,1}",
                 "(x|x y|yes|0777|1e3|-1|--f|-|- |~|null|\"q\"|'q'|\"a\\\\n\"|\\||\\|-|>|\\{\\}|\\[\\]|\\[a\\]|\\[a, \"b c\", 1\\]|\\[ a,b \\]|\\{a: x, b: \\[c\\]\\}|\\{a:x\\}|\\{a: \\}|\\[a,\\]|\\[a b\\]|\\['q'\\]|\\['q''r'\\]|\\{a: 1, a: 2\\}|\\[a\\]x|\\[\\[a\\], \\{\\}\\]|x: y|x:|#c|x #c|x#c|&a|\\*a|!t|\\?|\\.\\.\\.|%|<<|=){0,1}",
                 "( | #c|  ){0,1}"),
                0..8,
            )
        ) {
            let text: String = lines
                .into_iter()
                .map(|(a, b, c, d, e)| format!("{a}{b}{c}{d}{e}\n"))
                .collect();
            hold_against_the_long_way(&text);
            hold_against_the_long_way(text.trim_end_matches('\n'));
        }
    }
}
