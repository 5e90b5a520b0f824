//! PATH, its configuration and its layout.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stagegate_config::{Config, FILE_NAME};
use stagegate_core::StageName;
use stagegate_lint::{Progress, Repository};
use stagegate_render::{
    ExternalKustomize, KUSTOMIZATION_FILE_NAMES, Kustomize, LoadRestrictions, Program, Tree,
};
use stagegate_repo::{Layout, LayoutError};

use crate::args::{Brought, Source};
use crate::engine::Policies;
use crate::error::Error;

/// What a command works on.
pub(crate) struct Workspace {
    pub(crate) tree: Tree,
    pub(crate) config: Config,
    only_file: Option<String>,
    stream: Option<Vec<u8>>,
}

impl Workspace {
    /// Whether a whole folder is looked at, not one file or a stream.
    pub(crate) fn is_folder(&self) -> bool {
        self.only_file.is_none() && self.stream.is_none()
    }

    /// Resolves PATH and reads the configuration.
    pub(crate) fn open(source: &Source) -> Result<(Workspace, Policies), Error> {
        if let Some(jobs) = source.jobs {
            // Fails only if the pool is there already, which the first call cannot find.
            let _ = rayon::ThreadPoolBuilder::new()
                .num_threads(jobs.into())
                .build_global();
        }
        let read_error = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Read { path, source }
        };
        let mut stream = None;
        let (root, only_file) = if source.path == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .map_err(read_error(Path::new("-")))?;
            stream = Some(bytes);
            (PathBuf::from("."), None)
        } else {
            let metadata = source.path.metadata().map_err(read_error(&source.path))?;
            if metadata.is_dir() {
                (source.path.clone(), None)
            } else {
                file_in_folder(&source.path)
            }
        };
        let tree = Tree::new(&root).map_err(read_error(&root))?;
        tracing::debug!(root = %tree.root().display(), "opened");
        let in_root = root.join(FILE_NAME);
        let is_there = stream.is_none() && tree.absolute(FILE_NAME).is_file();
        let path = source.config.as_deref();
        let path = path.or(is_there.then_some(in_root.as_path()));
        let Configured { config, policies } = configure(&tree, path, &source.brought)?;
        let workspace = Workspace {
            tree,
            config,
            only_file,
            stream,
        };
        Ok((workspace, policies))
    }

    /// Finds the stages and renders them.
    pub(crate) fn render(
        &mut self,
        source: &Source,
        progress: Progress<'_>,
    ) -> Result<Repository, Error> {
        let layout = match self.stream.take() {
            Some(bytes) => stagegate_repo::read_stream(&self.tree, "-", bytes),
            None => self.discover()?,
        };
        let names: Vec<&str> = layout
            .stages
            .iter()
            .map(|s| s.stage.name.as_str())
            .collect();
        let errors = self.config.unknown_stages(&names);
        if !errors.is_empty() {
            return Err(Error::Config {
                errors,
                sources: Arc::clone(self.tree.sources()),
            });
        }
        let mut only = Vec::new();
        for name in &source.stages {
            only.push(chosen(&layout, name)?);
        }
        let external = if source.no_external {
            ExternalKustomize::forbidden()
        } else {
            ExternalKustomize::new(Program::find(std::env::var_os("PATH").as_deref()))
        };
        let rules = self.config.kustomize.iter().flat_map(|entry| {
            let globs = entry.paths.iter().cloned();
            globs.map(|glob| (glob, entry.reads_any_file))
        });
        let restrictions = LoadRestrictions {
            rules: rules.collect(),
            flux: layout.flux.clone(),
        };
        Ok(stagegate_lint::render(
            layout,
            &self.tree,
            &Kustomize::new(external, restrictions),
            &only,
            &self.config.self_urls,
            progress,
        ))
    }

    fn discover(&self) -> Result<Layout, Error> {
        stagegate_repo::discover(&self.tree, self.only_file.as_deref(), &self.config).map_err(
            |error| match error {
                LayoutError::Config(errors) => Error::Config {
                    errors,
                    sources: Arc::clone(self.tree.sources()),
                },
                other => Error::Layout(other),
            },
        )
    }
}

/// A file is linted in its folder; a kustomization file means its folder.
fn file_in_folder(path: &Path) -> (PathBuf, Option<String>) {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let only = (!KUSTOMIZATION_FILE_NAMES.contains(&name.as_str())).then_some(name);
    (folder.to_owned(), only)
}

/// A configuration and the policies that it is for.
pub(crate) struct Configured {
    pub(crate) config: Config,
    pub(crate) policies: Policies,
}

/// Reads a configuration, if there is one, and the policies that it and the command line bring
/// along. A configuration in the tree is named like the files there; another as it was typed.
pub(crate) fn configure(
    tree: &Tree,
    path: Option<&Path>,
    brought: &Brought,
) -> Result<Configured, Error> {
    let mut folder = Path::new(".");
    let mut written = None;
    if let Some(path) = path {
        let read_error = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let absolute = path.canonicalize().map_err(read_error)?;
        written = Some(if absolute.starts_with(tree.root()) {
            tree.read(&tree.relative(&absolute)).map_err(read_error)?
        } else {
            let bytes = std::fs::read(path).map_err(read_error)?;
            tree.named(tree.add(&path.to_string_lossy(), bytes))
                .map_err(read_error)?
        });
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        folder = parent.unwrap_or(folder);
    }
    let configured = written
        .as_ref()
        .map(|(file, source)| Config::policy_dirs(*file, source));
    let policies = Policies::with(brought, &configured.unwrap_or_default(), folder, tree)?;
    let config = match written {
        Some((file, source)) => Config::read(file, &source, policies.metas()),
        None => Ok(Config::default()),
    };
    let config = config.map_err(|errors| Error::Config {
        errors,
        sources: Arc::clone(tree.sources()),
    })?;
    let config = Config {
        policy_folders: policies.folders_below(tree),
        ..config
    };
    Ok(Configured { config, policies })
}

/// The stage that `--stage` means: its name, or an alias of it.
fn chosen(layout: &Layout, name: &str) -> Result<String, Error> {
    let names = || layout.stages.iter().map(|s| s.stage.name.as_str());
    let folded = StageName::any(name).name;
    if let Some(found) = names().find(|n| *n == name || *n == folded) {
        return Ok(found.to_owned());
    }
    let help = stagegate_config::suggest(name, names());
    Err(Error::Usage(format!(
        "there is no stage {name:?} here; {help}"
    )))
}
