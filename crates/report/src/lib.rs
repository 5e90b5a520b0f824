//! What `lint` found, written for people and for machines: one file a format.
//!
//! Formats get what they show as text; none reads a file, and none changes an exit code.

mod coverage;
mod json;
mod policies;
mod text;

use std::io;

use stagegate_core::Location;
use stagegate_lint::Report;

pub use coverage::{coverage_json, coverage_text};
pub use policies::{explain, policies_json, policies_text};
pub use text::diagnostic;

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
