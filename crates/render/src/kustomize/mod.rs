//! kustomize in this process, with the place of every value.
//!
//! ```text
//! folder ─load─> Spec ─┐
//! bases ───build──────>├─ build ─> Resources ─finish─> Objects
//! files ───────────────┘   generate, components, patches, transform, …
//! ```
//!
//! A base is built once, however many overlays there are. What is done and in which order is what
//! kustomize 5.5.0 does, its oddities included: `testdata/overlays` holds what it made of some 550 cases.

mod build;
mod crds;
mod fields;
mod finish;
mod generate;
mod id;
mod json_patch;
mod limits;
mod load;
mod merge;
mod order;
mod patches;
mod references;
mod replacements;
mod resource;
mod rewritten;
mod scalars;
mod schema;
mod select;
mod spec;
mod transform;
mod vars;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use stagegate_core::{Mark, PathGlob};

use build::Accumulated;
use load::Folder;
use scalars::Scalars;

use crate::{
    ExternalKustomize, Failure, KUSTOMIZATION_FILE_NAMES, Renderer, Rendering, Tree, is_within,
    join,
};

/// A base that is built, or will be.
type Built = Arc<OnceLock<Result<Arc<Accumulated>, Vec<Failure>>>>;

/// Renders kustomizations of one tree, in this process where it can.
pub struct Kustomize {
    external: ExternalKustomize,
    restrictions: LoadRestrictions,
    /// How many bytes the objects of one kustomization may take, about. Argo CD's own installation
    /// takes 20 MiB.
    pub memory_limit: usize,
    folders: Mutex<HashMap<String, Arc<Folder>>>,
    /// By folder, whether files outside of it may be read, and whether origins are kept.
    built: Mutex<HashMap<(String, bool, bool), Built>>,
}

/// From where a kustomization may read files. Bases may lie anywhere.
#[derive(Debug, Default)]
pub struct LoadRestrictions {
    /// Kustomizations, and whether they may read any file; the first that fits decides.
    pub rules: Vec<(PathGlob, bool)>,
    /// Folders below which Flux builds, which restricts nothing; relative to the tree's root.
    pub flux: Vec<String>,
}

impl LoadRestrictions {
    /// Whether a root may read any file. By default it may read only what lies below the
    /// kustomization that names it, as under Argo CD.
    fn are_lifted(&self, root: &str) -> bool {
        let file = join(root, KUSTOMIZATION_FILE_NAMES[0]);
        let rule = self.rules.iter().find(|(glob, _)| glob.matches(&file));
        let below = |folder: &String| is_within(root, folder);
        rule.map_or_else(|| self.flux.iter().any(below), |(_, lifted)| *lifted)
    }
}

impl Kustomize {
    /// A renderer that leaves to the program what it cannot do.
    pub fn new(external: ExternalKustomize, restrictions: LoadRestrictions) -> Kustomize {
        Kustomize {
            external,
            restrictions,
            memory_limit: 512 << 20,
            folders: Mutex::default(),
            built: Mutex::default(),
        }
    }

    fn lock_folders(&self) -> MutexGuard<'_, HashMap<String, Arc<Folder>>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is the same for everything that is done for one root.
pub(crate) struct Context<'a> {
    kustomize: &'a Kustomize,
    tree: &'a Tree,
    /// Files outside of a kustomization's folder may be read.
    unrestricted: bool,
    /// Something remote is left out, so that what is missing may be there.
    incomplete: bool,
    /// Transformations are noted for `buildMetadata`.
    tracks: bool,
}

impl Context<'_> {
    fn scalars(&self) -> Scalars<'_> {
        Scalars(self.tree.sources())
    }

    /// Something wrong at a place.
    fn failure(&self, mark: Mark, message: impl Into<String>) -> Failure {
        let path = self.tree.sources().path(mark.file).unwrap_or_default();
        Failure::new(path, mark, message)
    }

    /// A base; built once.
    fn base(&self, path: &str) -> Result<Arc<Accumulated>, Vec<Failure>> {
        let key = (path.to_owned(), self.unrestricted, self.tracks);
        // What a base lacks may be remote for one overlay only if it is for all.
        let cell = {
            let mut built = self
                .kustomize
                .built
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(built.entry(key).or_default())
        };
        let result = cell.get_or_init(|| {
            let incomplete = !self.kustomize.plan(self.tree, path).remote.is_empty();
            let context = Context {
                incomplete,
                ..*self
            };
            context.build(&self.folder(path)).map(Arc::new)
        });
        result.clone()
    }
}

impl Renderer for Kustomize {
    fn render(&self, directory: &str, tree: &Tree) -> Rendering {
        let plan = self.plan(tree, directory);
        if !plan.failures.is_empty() {
            return Rendering {
                objects: Vec::new(),
                failures: plan.failures.into_iter().chain(plan.remote).collect(),
            };
        }
        if !plan.unsupported.is_empty() {
            return self.render_by_program(directory, tree, plan);
        }
        let folder = self.folder(tree, directory);
        let tracks = folder
            .spec()
            .is_ok_and(|spec| !spec.build_metadata.is_empty());
        let context = Context {
            kustomize: self,
            tree,
            unrestricted: self.restrictions.are_lifted(directory),
            incomplete: !plan.remote.is_empty(),
            tracks,
        };
        match context
            .build(&folder)
            .map_err(finish::Unfinished::Failed)
            .and_then(|built| context.finish(built, &folder))
        {
            Ok(objects) => Rendering {
                objects,
                failures: plan.remote,
            },
            Err(finish::Unfinished::Failed(failures)) => Rendering {
                objects: Vec::new(),
                failures: failures.into_iter().chain(plan.remote).collect(),
            },
            Err(finish::Unfinished::Unsupported(mark, what)) => {
                let path = tree.sources().path(mark.file).unwrap_or_default();
                let plan = load::Plan {
                    unsupported: vec![(path, mark, what)],
                    ..plan
                };
                self.render_by_program(directory, tree, plan)
            }
        }
    }
}

impl Kustomize {
    /// What cannot be done here is left to the program, if there is one.
    fn render_by_program(&self, directory: &str, tree: &Tree, plan: load::Plan) -> Rendering {
        if plan.remote.is_empty() && self.external.is_available() {
            tracing::debug!(directory, "left to the program");
            return self.external.render(directory, tree);
        }
        let (why, help) = if plan.remote.is_empty() {
            self.external.absent()
        } else {
            (
                "this is done by kustomize itself, which would ask the network for what is remote here",
                "copy what is remote into the repository and name the copy",
            )
        };
        let failures = plan.unsupported.into_iter();
        let failures = failures.map(|(path, mark, what)| {
            Failure::new(path, mark, format!("{what}: {why}")).with_help(help)
        });
        Rendering {
            objects: Vec::new(),
            failures: failures.chain(plan.remote).collect(),
        }
    }
}
