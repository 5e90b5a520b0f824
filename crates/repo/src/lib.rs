//! How a GitOps repository is laid out: its files, its roots, its stages.
//!
//! ```text
//! folder ─scan─> files, classified ─graph─> roots (plain files, kustomizations) ─stages─> Layout
//! ```
//!
//! Nothing is left out in silence: every file that could be a manifest has an entry that says
//! what became of it ([`Entry`]).

mod classify;
mod graph;
mod scan;
mod stages;
#[cfg(test)]
mod tests;
mod tracked;

use std::collections::BTreeSet;
use std::sync::Arc;

use stagegate_config::{Config, ConfigError};
use stagegate_core::{FileKind, Mark, Node, Object, Stage};
use stagegate_manifest::Ambiguity;
use stagegate_render::{Failure, Tree};

pub use scan::read_stream;

/// A repository, laid out.
#[derive(Debug, Default)]
pub struct Layout {
    /// The stages in the order of promotion; `shared` first where there is one.
    pub stages: Vec<StageLayout>,
    /// Every file that could be a manifest, and every chart, sorted by path.
    pub entries: Vec<Entry>,
    /// What should have been judged and cannot be read.
    pub failures: Vec<Failure>,
    /// Files that are no manifests and are judged all the same, sorted by path.
    pub files: Vec<JudgedFile>,
    /// What programs read differently.
    pub ambiguities: Vec<FileNote>,
    /// Files that cannot be read, each behind the name of the stage that it belongs to.
    pub unread: Vec<(String, String)>,
    /// Folders that Flux builds by a Kustomization of the tree, sorted.
    pub flux: Vec<String>,
    /// Where secrets stand, or may stand: nothing that is shown may hold a text from there.
    pub secrets: Secrets,
}

/// A file that is no manifest.
#[derive(Debug)]
pub struct JudgedFile {
    /// Its path.
    pub path: String,
    /// The stage that it belongs to.
    pub stage: Stage,
    /// What it is.
    pub kind: FileKind,
    /// What it holds.
    pub content: Node,
}

/// Something to tell about a file.
#[derive(Debug)]
pub struct FileNote {
    /// Its path.
    pub path: String,
    /// The stage that it belongs to.
    pub stage: Stage,
    /// What, and where.
    pub ambiguity: Ambiguity,
}

/// Where secrets stand.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Values of Secrets, of their patches and generators, and of `.env` files.
    pub marks: Vec<Mark>,
    /// Files that could not be read and may hold some anywhere.
    pub files: BTreeSet<String>,
}

/// What belongs to a stage.
#[derive(Debug)]
pub struct StageLayout {
    /// The stage.
    pub stage: Stage,
    /// The folders and files that it was taken from, sorted.
    pub paths: Vec<String>,
    /// The objects of its plain manifests, sorted by path.
    pub objects: Vec<Arc<Object>>,
    /// The folders of the kustomizations to render, sorted.
    pub kustomizations: Vec<String>,
}

/// What became of a file or chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path relative to the linted folder.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// What became of it.
    pub fate: Fate,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A file with Kubernetes objects.
    Manifest,
    /// A kustomization.
    Kustomization,
    /// A Helm chart; its path is a folder.
    Chart,
    /// Something else in YAML or JSON.
    Data,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Judged as part of this stage.
    Judged {
        /// The stage's name.
        stage: String,
    },
    /// Used by something that is judged.
    Referenced {
        /// The kustomization that names it.
        by: String,
    },
    /// Not judged, and why.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Not judged, as the configuration says, for a reason that it gives.
    Declared {
        /// The reason.
        reason: String,
    },
    /// Not judged: what it deploys lies outside of the repository.
    External,
    /// It should have been judged, and could not be.
    Unrendered,
}

/// What keeps a repository from being laid out at all.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The folder cannot be walked.
    #[error("cannot read {path}: {message}")]
    Unreadable {
        /// The folder or file.
        path: String,
        /// Why.
        message: String,
    },
    /// The configuration does not fit the repository.
    #[error("the configuration does not fit the repository")]
    Config(Vec<ConfigError>),
}

/// Lays a folder out.
///
/// `only_file` names the one file to look at, relative to the tree's root, where the user named a
/// file instead of a folder.
///
/// # Errors
/// If the folder cannot be walked, or two configured stages claim one file.
pub fn discover(
    tree: &Tree,
    only_file: Option<&str>,
    config: &Config,
) -> Result<Layout, LayoutError> {
    let scanned = scan::scan(tree, only_file, &config.policy_folders)?;
    let graph = graph::Graph::of(tree, &scanned, config.stages.is_empty());
    stages::assign(scanned, graph, config)
}
