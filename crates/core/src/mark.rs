//! Where a node was written.

/// Identifies a source file. The number is meaningless outside the table that gave it out
/// (`stagegate_manifest::Sources`); it is never printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// Where a node was written: a file and a half-open range of byte offsets in its text.
///
/// Plain data: core neither reads files nor counts lines. A renderer that moves a node moves its
/// mark with it, and gives a changed value the mark of the field that changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The file.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Mark {
    /// The mark of what was not written in any file: an object that came over the wire.
    pub const NONE: Mark = Mark {
        file: FileId(u32::MAX),
        start: 0,
        end: 0,
    };

    /// A range of bytes in a file.
    pub const fn new(file: FileId, start: u32, end: u32) -> Self {
        Mark { file, start, end }
    }

    /// Whether the node was not written in any file.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::NONE
    }
}

/// A place for people: the path of a file and a range in it.
///
/// Lines and columns start at 1, columns count characters (Unicode scalar values), the end is
/// exclusive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// Path relative to the linted folder, with `/`.
    pub path: String,
    /// Line of the first character.
    pub line: u32,
    /// Column of the first character.
    pub column: u32,
    /// Line of the character behind the last one.
    pub end_line: u32,
    /// Column of the character behind the last one.
    pub end_column: u32,
}
