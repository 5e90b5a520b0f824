//! What becomes of values because kustomize writes them out and reads them again.

use std::cell::RefCell;
use std::sync::Arc;

use stagegate_core::{FileId, Mark, Node, Value};
use stagegate_manifest::{Source, Sources};

use super::resource::History;
use super::scalars::Style;

/// Changes an object as writing it changes it: folded texts grow lines, and what was left out of a
/// mapping in braces becomes an empty text. The object's own annotations are written anew.
pub(crate) fn rewrite(object: &mut Node, history: &History, sources: &Sources) {
    Rewriter::new(history, sources).walk(object, 0, false);
}

/// Does the same where an object is written in the midst of its way, to be patched as JSON: with its
/// annotations, and for the last time.
pub(crate) fn rewrite_for_json(object: &mut Node, history: &mut History, sources: &Sources) {
    let rewriter = Rewriter::new(history, sources);
    rewriter.walk(object, 2, false);
    let folded = rewriter.folded.into_inner();
    history
        .styles
        .extend(folded.into_iter().map(|mark| (mark, Style::Quoted)));
}

struct Rewriter<'a> {
    sources: &'a Sources,
    history: &'a History,
    /// The file that was looked at last: most of an object stands in one.
    last: RefCell<(FileId, Option<Arc<Source>>)>,
    /// Places of folded texts.
    folded: RefCell<Vec<Mark>>,
}

impl<'a> Rewriter<'a> {
    fn new(history: &'a History, sources: &'a Sources) -> Rewriter<'a> {
        Rewriter {
            sources,
            history,
            last: RefCell::default(),
            folded: RefCell::default(),
        }
    }

    fn first_byte(&self, node: &Node) -> Option<u8> {
        let mut last = self.last.borrow_mut();
        if last.0 != node.mark.file || last.1.is_none() {
            *last = (node.mark.file, self.sources.get(node.mark.file));
        }
        let source = last.1.as_ref()?;
        source
            .text
            .as_bytes()
            .get(node.mark.start as usize)
            .copied()
    }

    /// `level`: 0 the object, 1 its metadata, 2 anything else.
    fn walk(&self, node: &mut Node, level: u8, in_flow: bool) {
        match &node.value {
            Value::Null if in_flow && node.mark.start == node.mark.end && !node.mark.is_none() => {
                node.value = Value::String("".into());
                return;
            }
            Value::String(text) if !in_flow && text.contains('\n') => {
                let style = self.history.style(node.mark);
                let is_folded = style.map_or_else(
                    || self.first_byte(node) == Some(b'>'),
                    |style| style == Style::Folded,
                );
                if is_folded {
                    self.folded.borrow_mut().push(node.mark);
                    if let Some(folded) = refolded(text) {
                        node.value = Value::String(folded.into());
                    }
                }
                return;
            }
            _ => {}
        }
        let is_flow = |node: &Node| in_flow || matches!(self.first_byte(node), Some(b'{' | b'['));
        match &node.value {
            Value::Object(_) | Value::Array(_) => {}
            _ => return,
        }
        let in_flow = is_flow(node);
        match &mut node.value {
            Value::Array(items) => items
                .iter_mut()
                .for_each(|item| self.walk(item, 2, in_flow)),
            Value::Object(map) => {
                for entry in map.iter_mut() {
                    let level = match (level, entry.key.as_str()) {
                        (0, "metadata") => 1,
                        (1, "annotations") => continue,
                        _ => 2,
                    };
                    self.walk(&mut entry.node, level, in_flow);
                }
            }
            _ => {}
        }
    }
}

/// A folded text, written by go-yaml and read again. `None` where it is written in quotes, which
/// changes nothing.
///
/// Source: `yaml_emitter_write_folded_scalar` and `yaml_parser_scan_block_scalar` of go-yaml v3. The
/// former looks at the beginning of the text where it means what follows a line break, and so begins
/// a paragraph before lines that are indented further.
fn refolded(text: &str) -> Option<String> {
    let is_blank = |c: char| c == ' ' || c == '\t';
    let in_quotes = text.ends_with(' ')
        || text.contains(" \n")
        || text.chars().any(|c| {
            (c.is_control() && c != '\n' && c != '\t')
                || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
        });
    if in_quotes {
        return None;
    }
    let begins_blank = text.trim_start_matches('\n').starts_with(is_blank);
    let mut written = String::with_capacity(text.len() + 8);
    let (mut breaks, mut leading_spaces) = (true, true);
    for c in text.chars() {
        if c == '\n' {
            if !breaks && !leading_spaces && !begins_blank {
                written.push('\n');
            }
            written.push('\n');
            breaks = true;
        } else {
            if breaks {
                leading_spaces = is_blank(c);
            }
            written.push(c);
            breaks = false;
        }
    }
    let keeps = text.ends_with("\n\n") || text == "\n";
    let strips = !text.ends_with('\n');

    let mut read = String::with_capacity(written.len());
    let (mut leading_break, mut trailing_breaks) = (String::new(), String::new());
    let mut leading_blank = false;
    for line in written.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        if content.is_empty() {
            trailing_breaks.push('\n');
            continue;
        }
        let trailing_blank = content.starts_with(is_blank);
        if !leading_blank && !trailing_blank && !leading_break.is_empty() {
            if trailing_breaks.is_empty() {
                read.push(' ');
            }
        } else {
            read.push_str(&leading_break);
        }
        read.push_str(&trailing_breaks);
        trailing_breaks.clear();
        leading_blank = trailing_blank;
        read.push_str(content);
        leading_break = if line.ends_with('\n') {
            "\n".to_owned()
        } else {
            String::new()
        };
    }
    if !strips {
        read.push_str(&leading_break);
    }
    if keeps {
        read.push_str(&trailing_breaks);
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_texts_are_those_that_kustomize_gives() {
        for (text, written) in [
            ("x y\n", "x y\n"),
            ("x y", "x y"),
            ("x y\n\n", "x y\n\n\n"),
            (
                "one two\nthree\n  more\n  lines\nfour\n\nfive\n",
                "one two\nthree\n\n  more\n  lines\nfour\n\nfive\n",
            ),
            (
                "Steps:\n\n  - build\n  - push\n\nDone.",
                "Steps:\n\n\n  - build\n  - push\n\nDone.",
            ),
            ("\nafter\n", "\nafter\n"),
        ] {
            assert_eq!(refolded(text).as_deref(), Some(written), "{text:?}");
        }
        assert_eq!(refolded("a \nb"), None);
    }
}
