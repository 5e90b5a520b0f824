//! What `lint` found, written for people and for machines: one file a format.
//!
//! Formats get what they show as text; none reads a file, and none changes an exit code.

mod coverage;
mod json;
mod policies;
mod tested;
mod text;

use std::borrow::Cow;
use std::io;

use stagegate_core::Location;
use stagegate_lint::Report;

pub use coverage::{coverage_json, coverage_text};
pub use policies::{explain, policies_json, policies_text};
pub use tested::{
    TestCoverage, TestReport, TestResult, TestStatus, tests_json, tests_junit, tests_text,
};
pub use text::diagnostic;

/// A text without anything that a terminal would act on: control characters, and those that turn
/// the direction of what follows, are shown as escapes. Names in manifests are anybody's.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_active) {
        let escape = |c: char| {
            if is_active(c) {
                c.escape_unicode().to_string()
            } else {
                c.to_string()
            }
        };
        Cow::Owned(text.chars().map(escape).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A format of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: the contract.
    Json,
}

/// How a report is shown.
pub struct Style<'a> {
    /// With colours.
    pub color: bool,
    /// Warnings count as denials.
    pub strict: bool,
    /// The lines of a file around a place.
    pub snippets: &'a dyn Fn(&Location) -> Option<Snippet>,
}

impl Snippet {
    /// The same with one harmless character for each that a terminal would act on, so that columns
    /// stay what they are.
    fn printable(mut self) -> Snippet {
        if self.text.contains(is_active) {
            let keep = |c: char| matches!(c, '\n' | '\t') || !is_active(c);
            self.text = self
                .text
                .chars()
                .map(|c| if keep(c) { c } else { '\u{fffd}' })
                .collect();
        }
        self
    }
}

/// Some lines of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The number of the first of them, from 1.
    pub first_line: u32,
    /// The lines.
    pub text: String,
}

/// Writes a report.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write(
    report: &Report,
    format: Format,
    style: &Style<'_>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format {
        Format::Text => text::write(report, style, out),
        Format::Json => json::write(report, out),
    }
}
