//! A directory to objects, each knowing which files shaped it.
//!
//! ```text
//! plain manifests ─────────────────────────────> objects of a file
//! kustomization ──Renderer──> rendered objects ──provenance──> … whose marks are of the tree
//! ```

mod closure;
mod external;
mod inline;
mod kustomization;
mod kustomize;
mod paths;
mod plain;
mod provenance;
mod tree;

use stagegate_core::{Mark, Object};

pub use external::{ExternalKustomize, Program, REFUSED};
pub use kustomization::{
    FILE_NAMES as KUSTOMIZATION_FILE_NAMES, Generator, Kustomization, Patch, Reference, Role,
};
pub use kustomize::{Kustomize, LoadRestrictions};
pub use paths::{is_within, join, parent};
pub use plain::{PlainFile, read as read_plain};
pub use tree::Tree;

/// Renders a kustomization, whatever does the work.
pub trait Renderer: Send + Sync {
    /// Renders the kustomization in a folder of the tree, given relative to the tree's root.
    fn render(&self, directory: &str, tree: &Tree) -> Rendering;
}

/// What a kustomization was rendered to.
#[derive(Clone, Debug, Default)]
pub struct Rendering {
    /// Its objects, in their order.
    pub objects: Vec<Object>,
    /// Everything that kept it, or a part of it, from being rendered, located where it can be. Beside
    /// objects stands only what lies outside of the repository.
    pub failures: Vec<Failure>,
}

/// Why something that should have been judged was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file that is wrong, or the kustomization that could not be rendered; relative to the
    /// tree's root.
    pub path: String,
    /// The place in it.
    pub mark: Mark,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// What was not judged lies outside of the repository.
    pub external: bool,
}

impl Failure {
    /// Something local that cannot be read or rendered.
    pub fn new(path: impl Into<String>, mark: Mark, message: impl Into<String>) -> Failure {
        Failure {
            path: path.into(),
            mark,
            message: message.into(),
            help: None,
            external: false,
        }
    }

    /// Says what would be right.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }
}
