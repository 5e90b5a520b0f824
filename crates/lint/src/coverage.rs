//! What became of every file: the proof that nothing was passed over in silence.

use serde::Serialize;
use stagegate_repo::{Entry, EntryKind, Fate};

use crate::Repository;

/// The account of a tree.
#[derive(Debug, Serialize)]
pub struct Coverage {
    /// Every file that could be a manifest, and every chart, sorted by path.
    pub entries: Vec<CoverageEntry>,
}

/// The account of one file or chart.
#[derive(Debug, Serialize)]
pub struct CoverageEntry {
    /// Path relative to the linted folder.
    pub path: String,
    /// `manifest`, `kustomization`, `chart` or `data`.
    pub kind: &'static str,
    /// What became of it.
    pub status: CoverageStatus,
    /// The stages in which it is judged.
    pub stages: Vec<String>,
    /// Who refers to it, or why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CoverageStatus {
    /// Judged.
    Judged,
    /// Judged as part of what refers to it.
    Referenced,
    /// Not judged, on purpose.
    Skipped,
    /// Not judged, although it should have been.
    Unrendered,
}

impl Coverage {
    /// The account of a rendered repository.
    pub fn of(repository: &Repository) -> Coverage {
        Coverage {
            entries: repository.entries.iter().map(CoverageEntry::of).collect(),
        }
    }

    /// How many entries have a status.
    pub fn count(&self, status: CoverageStatus) -> usize {
        self.entries.iter().filter(|e| e.status == status).count()
    }
}

impl CoverageEntry {
    fn of(entry: &Entry) -> CoverageEntry {
        let kind = match entry.kind {
            EntryKind::Manifest => "manifest",
            EntryKind::Kustomization => "kustomization",
            EntryKind::Chart => "chart",
            EntryKind::Data => "data",
        };
        let (status, stages, reason) = match &entry.fate {
            Fate::Judged { stage } => (CoverageStatus::Judged, vec![stage.clone()], None),
            Fate::Referenced { by } => (
                CoverageStatus::Referenced,
                Vec::new(),
                Some(format!("used by {by}")),
            ),
            Fate::Skipped { reason } => (CoverageStatus::Skipped, Vec::new(), Some(reason.clone())),
            Fate::Declared { reason } => (
                CoverageStatus::Skipped,
                Vec::new(),
                Some(format!("not meant to be judged: {reason}")),
            ),
            Fate::External => (
                CoverageStatus::Skipped,
                Vec::new(),
                Some("what it deploys lies outside of the repository".to_owned()),
            ),
            Fate::Unrendered => (CoverageStatus::Unrendered, Vec::new(), None),
        };
        CoverageEntry {
            path: entry.path.clone(),
            kind,
            status,
            stages,
            reason,
        }
    }
}
