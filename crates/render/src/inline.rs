//! Texts inside of files that are YAML themselves: inline patches and plugins.

use stagegate_core::{Mark, Node};
use stagegate_manifest::{Format, Loaded, Profile, Source, Sources, decode, load_exactly};

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
    let place = Inline {
        mark: text.mark,
        outer: &outer,
        inner: &source,
    };
    for document in &mut loaded.documents {
        document.for_each_mark_mut(&mut |mark| *mark = place.outer_mark(*mark));
    }
    for problem in &mut loaded.problems {
        problem.mark = place.outer_mark(problem.mark);
    }
    loaded
}

/// A text inside a block scalar of a file.
struct Inline<'a> {
    mark: Mark,
    outer: &'a Source,
    inner: &'a Source,
}

impl Inline<'_> {
    /// The place in the file of a place in the text: the same line, moved by the indentation.
    fn outer_mark(&self, inner: Mark) -> Mark {
        let raw = &self.outer.text[self.mark.start as usize..self.mark.end as usize];
        if !raw.starts_with('|') {
            // Folded and quoted texts lose their lines.
            return self.mark;
        }
        let (first, _) = self.outer.line_column(self.mark.start as usize);
        let offset = |position: u32| {
            let (line, _) = self.inner.line_column(position as usize);
            let in_line = position as usize - self.inner.line_start(line);
            let start = self.outer.line_start(first + line);
            let rest = &self.outer.text[start..];
            let indentation = rest.bytes().take_while(|b| *b == b' ').count();
            let own = self.inner.text[self.inner.line_start(line)..]
                .bytes()
                .take_while(|b| *b == b' ')
                .count();
            let moved = start + indentation.saturating_sub(own) + in_line;
            u32::try_from(moved)
                .unwrap_or(self.mark.end)
                .min(self.mark.end)
        };
        Mark {
            file: self.mark.file,
            start: offset(inner.start),
            end: offset(inner.end),
        }
    }
}
