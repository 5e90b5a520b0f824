//! The account of every file.

use std::collections::BTreeMap;
use std::io;

use crate::printable;
use serde::Serialize;
use stagegate_lint::{Coverage, CoverageEntry, CoverageStatus};

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    summary: Summary,
    entries: &'a [CoverageEntry],
}

#[derive(Serialize)]
struct Summary {
    judged: usize,
    referenced: usize,
    skipped: usize,
    unrendered: usize,
}

impl Summary {
    fn of(coverage: &Coverage) -> Summary {
        Summary {
            judged: coverage.count(CoverageStatus::Judged),
            referenced: coverage.count(CoverageStatus::Referenced),
            skipped: coverage.count(CoverageStatus::Skipped),
            unrendered: coverage.count(CoverageStatus::Unrendered),
        }
    }
}

/// Writes the coverage as JSON: `{"version", "summary", "entries"}`.
///
/// # Errors
/// If `out` cannot be written to.
pub fn coverage_json(coverage: &Coverage, out: &mut dyn io::Write) -> io::Result<()> {
    let document = Document {
        version: 1,
        summary: Summary::of(coverage),
        entries: &coverage.entries,
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// Writes the coverage for people: what could not be judged first, then what was skipped by its
/// reason, then what was used, then what was judged by its stage.
///
/// # Errors
/// If `out` cannot be written to.
pub fn coverage_text(coverage: &Coverage, out: &mut dyn io::Write) -> io::Result<()> {
    let mut groups: BTreeMap<(std::cmp::Reverse<CoverageStatus>, String), Vec<&CoverageEntry>> =
        BTreeMap::new();
    for entry in &coverage.entries {
        let why = match entry.status {
            CoverageStatus::Judged => format!("judged in {}", entry.stages.join(", ")),
            CoverageStatus::Referenced => entry.reason.clone().unwrap_or_default(),
            CoverageStatus::Skipped => {
                format!("skipped: {}", entry.reason.as_deref().unwrap_or_default())
            }
            CoverageStatus::Unrendered => "could not be judged".to_owned(),
        };
        groups
            .entry((std::cmp::Reverse(entry.status), why))
            .or_default()
            .push(entry);
    }
    for ((_, why), entries) in &groups {
        writeln!(out, "{} ({})", printable(why), entries.len())?;
        for entry in entries {
            let slash = if entry.kind == "chart" { "/" } else { "" };
            writeln!(out, "  {}{slash}", printable(&entry.path))?;
        }
        writeln!(out)?;
    }
    let Summary {
        judged,
        referenced,
        skipped,
        unrendered,
    } = Summary::of(coverage);
    writeln!(
        out,
        "{} {}: {judged} judged, {referenced} used by them, {skipped} skipped, {unrendered} could not be judged",
        coverage.entries.len(),
        if coverage.entries.len() == 1 {
            "entry"
        } else {
            "entries"
        },
    )
}
