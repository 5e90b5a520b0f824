//! The texts that marks point into.

use std::sync::{Arc, OnceLock, RwLock};

use stagegate_core::{FileId, FileNames, Location, Mark};

use crate::Decoded;

/// The texts of a run. Shared between threads; files are added and never taken out.
#[derive(Default)]
pub struct Sources {
    files: RwLock<Vec<Arc<Source>>>,
}

/// A file's path and text.
#[derive(Default)]
pub struct Source {
    /// Path relative to the linted folder, with `/`.
    pub path: String,
    /// The decoded text.
    pub text: String,
    /// Offsets in the text of bytes that were no character.
    pub(crate) invalid: Vec<usize>,
    lines: OnceLock<Vec<u32>>,
}

impl std::fmt::Debug for Sources {
    /// Without the texts: they may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources")
    }
}

impl Sources {
    /// A table without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file and names it.
    pub fn add(&self, path: String, decoded: Decoded) -> FileId {
        let Decoded { text, invalid } = decoded;
        let source = Arc::new(Source {
            path,
            text,
            invalid,
            lines: OnceLock::new(),
        });
        let mut files = self
            .files
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        files.push(source);
        FileId(u32::try_from(files.len() - 1).unwrap_or(u32::MAX))
    }

    /// A file, unless the id came from another table.
    pub fn get(&self, file: FileId) -> Option<Arc<Source>> {
        let files = self
            .files
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        files.get(file.0 as usize).cloned()
    }

    /// The path of a file.
    pub fn path(&self, file: FileId) -> Option<String> {
        self.get(file).map(|source| source.path.clone())
    }

    /// The mark of a line, from 0, of the text that was written at a mark. Only of literal blocks
    /// (`|`), whose lines are those of the text; for others the mark itself.
    pub fn line_of_text(&self, mark: Mark, line: u32) -> Mark {
        let narrowed = self.get(mark.file).and_then(|source| {
            let text = source.text.get(mark.start as usize..mark.end as usize)?;
            let mut lines = text.split_inclusive('\n');
            let header = lines.next().filter(|header| header.starts_with('|'))?;
            let mut start = mark.start as usize + header.len();
            for _ in 0..line {
                start += lines.next()?.len();
            }
            let content = lines.next()?.trim_end();
            let end = start + content.len();
            start += content.len() - content.trim_start().len();
            Some(Mark::new(
                mark.file,
                crate::yaml::offset(start),
                crate::yaml::offset(end),
            ))
        });
        narrowed.unwrap_or(mark)
    }

    /// Lines and columns of a mark.
    pub fn locate(&self, mark: Mark) -> Option<Location> {
        self.get(mark.file).map(|source| source.locate(mark))
    }
}

impl FileNames for Sources {
    fn path(&self, file: FileId) -> Option<String> {
        Sources::path(self, file)
    }
}

impl Source {
    /// Whether some bytes of the file were no character.
    pub fn has_invalid(&self) -> bool {
        !self.invalid.is_empty()
    }

    /// Lines and columns of a mark of this file.
    pub fn locate(&self, mark: Mark) -> Location {
        let (line, column) = self.line_column(mark.start as usize);
        let (end_line, end_column) = self.line_column(mark.end.max(mark.start) as usize);
        Location {
            path: self.path.clone(),
            line,
            column,
            end_line,
            end_column,
        }
    }

    /// Line and column of an offset, both from 1, columns in characters.
    pub fn line_column(&self, offset: usize) -> (u32, u32) {
        let lines = self.lines();
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = lines.partition_point(|start| *start as usize <= offset);
        let start = lines[line - 1] as usize;
        let column = self.text[start..offset].chars().count() + 1;
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(column).unwrap_or(u32::MAX),
        )
    }

    /// The offset at which a line begins, from 1; the end of the text for a line behind it.
    pub fn line_start(&self, line: u32) -> usize {
        let lines = self.lines();
        lines
            .get((line as usize).saturating_sub(1))
            .map_or(self.text.len(), |start| *start as usize)
    }

    /// How many lines there are.
    pub fn line_count(&self) -> u32 {
        u32::try_from(self.lines().len()).unwrap_or(u32::MAX)
    }

    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            std::iter::once(0)
                .chain(
                    memchr::memchr_iter(b'\n', self.text.as_bytes())
                        .map(|i| u32::try_from(i + 1).unwrap_or(u32::MAX)),
                )
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn columns_count_characters_and_the_end_is_exclusive() {
        let sources = Sources::new();
        let file = sources.add("a.yaml".to_owned(), decode("a: 1\nö: \"é\"\n".into()));
        let location = sources.locate(Mark::new(file, 9, 13)).unwrap();
        assert_eq!((location.line, location.column), (2, 4));
        assert_eq!((location.end_line, location.end_column), (2, 7));
        let end = sources.locate(Mark::new(file, 999, 999)).unwrap();
        assert_eq!((end.line, end.column), (3, 1));
        assert_eq!(sources.locate(Mark::NONE), None);
    }

    #[test]
    fn lines_of_literal_blocks_are_found() {
        let sources = Sources::new();
        let text = "run: |\n  a\n\n    b  \nx: 'c'\n";
        let file = sources.add("a.yaml".to_owned(), decode(text.into()));
        let block = Mark::new(file, 5, 22);
        let line = |n| {
            let mark = sources.line_of_text(block, n);
            &text[mark.start as usize..mark.end as usize]
        };
        assert_eq!([line(0), line(1), line(2)], ["a", "", "b"]);
        assert_eq!(sources.line_of_text(block, 9), block);
        let quoted = Mark::new(file, 22, 25);
        assert_eq!(sources.line_of_text(quoted, 0), quoted);
    }
}
