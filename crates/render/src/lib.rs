//! A directory to objects, each knowing which files shaped it.
//!
//! ```text
//! plain manifests ─────────────────────────────> objects of a file
//! kustomization ──Renderer──> rendered objects ──provenance──> … whose marks are of the tree
//! ```

mod closure;
mod external;
mod kustomization;
mod paths;
mod plain;
mod provenance;
mod tree;

use stagegate_core::{Mark, Object};

pub use external::{ExternalKustomize, Program, REFUSED};
pub use kustomization::{
    FILE_NAMES as KUSTOMIZATION_FILE_NAMES, Kustomization, Patch, Reference, Role,
};
pub use paths::{join, parent};
pub use plain::{PlainFile, read as read_plain};
pub use tree::Tree;

/// Renders a kustomization, whatever does the work.
pub trait Renderer: Send + Sync {
    /// Renders the kustomization in a folder of the tree, given relative to the tree's root.
    ///
    /// # Errors
    /// Everything that kept the folder from being rendered, located where it can be.
    fn render(&self, directory: &str, tree: &Tree) -> Result<Vec<Object>, Vec<Failure>>;
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
}
