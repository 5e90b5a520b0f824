//! Globs over names and paths.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use crate::Mark;

/// A glob over names, such as those of objects and namespaces: `*`, `?`, `[ab]`, `{a,b}`.
#[derive(Clone)]
pub struct NameGlob(GlobMatcher);

/// A text that is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a glob: {0}")]
pub struct GlobError(String);

impl NameGlob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn new(pattern: &str) -> Result<NameGlob, GlobError> {
        let glob = GlobBuilder::new(pattern)
            .build()
            .map_err(|error| GlobError(error.kind().to_string()))?;
        Ok(NameGlob(glob.compile_matcher()))
    }

    /// Whether a name is meant.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    /// As it was written.
    pub fn pattern(&self) -> &str {
        self.0.glob().glob()
    }
}

impl fmt::Debug for NameGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pattern())
    }
}

/// A glob over paths relative to the linted folder. It names a file, or a folder with all that is
/// in it.
#[derive(Clone, Debug)]
pub struct PathGlob {
    /// As it was written.
    pub pattern: String,
    /// Where it was written.
    pub mark: Mark,
    globs: GlobSet,
}

impl PathGlob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn new(pattern: &str, mark: Mark) -> Result<PathGlob, GlobError> {
        let trimmed = pattern.trim_start_matches("./").trim_end_matches('/');
        let globs = Self::compile(trimmed).map_err(|error| GlobError(error.kind().to_string()))?;
        Ok(PathGlob {
            pattern: pattern.to_owned(),
            mark,
            globs,
        })
    }

    fn compile(trimmed: &str) -> Result<GlobSet, globset::Error> {
        let glob = |text: &str| GlobBuilder::new(text).literal_separator(true).build();
        if trimmed.is_empty() || trimmed == "." {
            return GlobSetBuilder::new().add(glob("**")?).build();
        }
        GlobSetBuilder::new()
            .add(glob(trimmed)?)
            .add(glob(&format!("{trimmed}/**"))?)
            .build()
    }

    /// Whether a file or folder is meant.
    pub fn matches(&self, path: &str) -> bool {
        self.globs.is_match(path)
    }
}
