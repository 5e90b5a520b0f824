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

    /// Whether a name may be meant by both. Classes such as `[ab]` are taken for any character.
    pub fn overlaps(&self, other: &NameGlob) -> bool {
        let (own, others) = (spelled_out(self.pattern()), spelled_out(other.pattern()));
        own.iter()
            .any(|a| others.iter().any(|b| have_a_name_in_common(a, b)))
    }
}

/// A step of a glob without alternatives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Char(char),
    AnyChar,
    AnyText,
}

/// A glob as its alternatives.
fn spelled_out(pattern: &str) -> Vec<Vec<Step>> {
    let mut all: Vec<Vec<Step>> = vec![Vec::new()];
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let step = match c {
            '*' => Step::AnyText,
            '?' => Step::AnyChar,
            '\\' => Step::Char(rest.next().unwrap_or('\\')),
            '[' => {
                let mut is_first = true;
                for c in rest.by_ref() {
                    match c {
                        '!' | '^' if is_first => {}
                        // The first is meant itself, even if it is a bracket.
                        ']' if !is_first => break,
                        _ => is_first = false,
                    }
                }
                Step::AnyChar
            }
            '{' => {
                let alternatives = alternatives(&mut rest);
                let tails: Vec<Vec<Step>> =
                    alternatives.iter().flat_map(|a| spelled_out(a)).collect();
                let joined = all.iter().flat_map(|head| {
                    let joined = move |tail: &Vec<Step>| [head.as_slice(), tail].concat();
                    tails.iter().map(joined)
                });
                all = joined.collect();
                continue;
            }
            c => Step::Char(c),
        };
        for steps in &mut all {
            steps.push(step);
        }
    }
    all
}

/// What stands between braces, up to the closing one.
fn alternatives(rest: &mut std::str::Chars<'_>) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut depth = 0;
    for c in rest.by_ref() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(c);
        }
    }
    all
}

fn have_a_name_in_common(a: &[Step], b: &[Step]) -> bool {
    // By how much of both is left, from the end.
    let mut meet = vec![vec![false; b.len() + 1]; a.len() + 1];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            meet[i][j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(Step::AnyText), _) if meet[i + 1][j] => true,
                (_, Some(Step::AnyText)) if meet[i][j + 1] => true,
                (Some(Step::AnyText), Some(_)) => meet[i][j + 1],
                (Some(_), Some(Step::AnyText)) => meet[i + 1][j],
                (Some(x), Some(y)) => {
                    (x == y || *x == Step::AnyChar || *y == Step::AnyChar) && meet[i + 1][j + 1]
                }
                _ => false,
            };
        }
    }
    meet[0][0]
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn overlap(a: &str, b: &str) -> bool {
        let (a, b) = (NameGlob::new(a).unwrap(), NameGlob::new(b).unwrap());
        assert_eq!(a.overlaps(&b), b.overlaps(&a));
        a.overlaps(&b)
    }

    #[test]
    fn globs_overlap_where_a_name_is_meant_by_both() {
        for (a, b) in [
            ("shop-prod", "*-prod"),
            ("*-prod", "shop-*"),
            ("shop", "shop"),
            ("{a,b}-x", "b-?"),
            ("team-[ab]", "team-b"),
            ("*a*", "*b*"),
            ("", "*"),
        ] {
            assert!(overlap(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("*-dev", "*-prod"),
            ("shop", "shop?"),
            ("{a,b}-x", "c-?"),
            ("a*b", "a*c"),
            ("", "?*"),
        ] {
            assert!(!overlap(a, b), "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn what_both_match_is_an_overlap(a in "[ab*?{},]{0,8}", b in "[ab*?]{0,6}", name in "[ab]{0,6}") {
            if let (Ok(x), Ok(y)) = (NameGlob::new(&a), NameGlob::new(&b))
                && x.matches(&name)
                && y.matches(&name)
            {
                prop_assert!(x.overlaps(&y), "{a} {b} {name}");
            }
        }
    }
}
