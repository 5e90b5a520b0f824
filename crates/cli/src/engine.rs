//! The one place that builds an engine: from native policies, bundled ones, and those that users
//! bring along.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stagegate_config::{ConfigError, PolicyDirs};
use stagegate_core::{Door, Enforcement, Engine, EngineError, Mark, Meta, Policy, Settings, Stage};
use stagegate_manifest::Sources;
use stagegate_rego::{Folder, LoadError, Loaded, PolicyFile, Unsupported};
use stagegate_render::{Failure, Tree};

use crate::args::Brought;
use crate::error::Error;
use crate::output::tell;

/// Every policy that there is.
pub(crate) struct Policies {
    all: Vec<Box<dyn Policy>>,
    unsupported: Vec<Unsupported>,
    /// The folders of what is brought along, absolute.
    folders: BTreeSet<PathBuf>,
}

/// A folder of policies, and where it is named.
struct Named {
    path: PathBuf,
    mark: Option<Mark>,
}

impl Policies {
    /// The native policies and the bundled ones.
    fn own() -> Policies {
        let mut all = stagegate_policies::all();
        all.extend(stagegate_rego::bundled());
        Policies {
            all,
            unsupported: Vec::new(),
            folders: BTreeSet::new(),
        }
    }

    /// Those, and what is brought along: by the command line, and by a configuration in `folder`.
    pub(crate) fn with(
        brought: &Brought,
        configured: &PolicyDirs,
        folder: &Path,
        tree: &Tree,
    ) -> Result<Policies, Error> {
        let mut policies = Policies::own();
        let sources = tree.sources();
        let packages = packages(&brought.packages, &configured.packages);
        let typed = brought.folders.iter().map(|path| Named {
            path: path.clone(),
            mark: None,
        });
        let written = configured.folders.iter().map(|(path, mark)| Named {
            path: folder.join(path),
            mark: Some(*mark),
        });
        let mut marks: Vec<(String, Mark)> = Vec::new();
        for named in typed.chain(written) {
            // Named twice, on the command line and in the configuration, it is one folder all the
            // same.
            if named
                .path
                .canonicalize()
                .is_ok_and(|path| !policies.folders.insert(path))
            {
                continue;
            }
            let loaded = load(read(&named, tree)?, &packages, sources)?;
            if loaded.policies.is_empty() {
                return Err(nothing_in(&named, &packages, sources));
            }
            policies.unsupported.extend(loaded.unsupported);
            for policy in loaded.policies {
                marks.push((policy.policy.meta().id.to_string(), policy.mark));
                policies.all.push(Box::new(policy.policy));
            }
        }
        policies.same_ids(&marks, sources)?;
        Ok(policies)
    }

    /// Two policies of one name, the second of which somebody brought along.
    fn same_ids(&self, brought: &[(String, Mark)], sources: &Arc<Sources>) -> Result<(), Error> {
        let own = self.all.len() - brought.len();
        let mut known: BTreeSet<&str> = self.all[..own].iter().map(|p| &*p.meta().id).collect();
        let mut errors = Vec::new();
        for (id, mark) in brought {
            if !known.insert(id) {
                errors.push(LoadError {
                    mark: *mark,
                    message: format!("there is another policy with the id {id:?}"),
                    help: Some(
                        "name the file otherwise, or say `id` under METADATA's `custom`".to_owned(),
                    ),
                });
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(Error::Policies {
            errors,
            sources: Arc::clone(sources),
        })
    }

    /// What is known of each.
    pub(crate) fn metas(&self) -> impl Iterator<Item = &Meta> {
        self.all.iter().map(|policy| policy.meta())
    }

    /// The folders of what is brought along that lie below the linted one, relative to it.
    pub(crate) fn folders_below(&self, tree: &Tree) -> Vec<String> {
        let below = |path: &&PathBuf| path.starts_with(tree.root()) && *path != tree.root();
        let folders = self.folders.iter().filter(below);
        folders.map(|path| tree.relative(path)).collect()
    }

    /// The engine of all of them, configured, and those among them that it cannot evaluate.
    pub(crate) fn engine(self, settings: Settings) -> Result<(Engine, Vec<Unsupported>), Error> {
        let known: Vec<String> = self.metas().map(|meta| meta.id.to_string()).collect();
        let engine = Engine::new(self.all, settings).map_err(|error| {
            let help = match &error {
                EngineError::UnknownPolicy(id) => {
                    let help = stagegate_config::suggest(id, known.iter().map(String::as_str));
                    format!("; {help}")
                }
                EngineError::SameId(_) => String::new(),
            };
            Error::Usage(format!("{error}{help}"))
        })?;
        Ok((engine, self.unsupported))
    }
}

/// Policies that should have judged and cannot: in some stage they are not off.
pub(crate) fn not_judged<'s>(
    engine: &Engine,
    unsupported: &[Unsupported],
    stages: impl Iterator<Item = &'s Stage>,
    door: Door,
    sources: &Sources,
) -> Vec<Failure> {
    let stages: Vec<&Stage> = stages.collect();
    let is_on = |policy: &Unsupported| {
        let enforced = |stage: &&Stage| engine.enforcement(&policy.policy, stage, door);
        stages
            .iter()
            .any(|stage| enforced(stage) != Enforcement::Off)
    };
    let on = unsupported.iter().filter(|policy| is_on(policy));
    on.map(|policy| {
        let path = sources.path(policy.mark.file).unwrap_or_default();
        let help = format!(
            "switch it off in stagegate.yaml: policies: {{{}: {{enforcement: off}}}}",
            policy.policy
        );
        Failure::new(path, policy.mark, policy.message.clone()).with_help(help)
    })
    .collect()
}

/// The packages of policies in conftest's form: those that are typed, else those that are configured,
/// else `main`.
pub(crate) fn packages(typed: &[String], configured: &[String]) -> Vec<String> {
    let named = if typed.is_empty() { configured } else { typed };
    if named.is_empty() {
        vec!["main".to_owned()]
    } else {
        named.to_vec()
    }
}

/// Loads policies, and says on standard error what is worth knowing of them.
pub(crate) fn load(
    files: Vec<PolicyFile>,
    packages: &[String],
    sources: &Arc<Sources>,
) -> Result<Loaded, Error> {
    let folder = Folder {
        files,
        packages: packages.to_vec(),
    };
    let loaded = stagegate_rego::load(&folder).map_err(|errors| Error::Policies {
        errors,
        sources: Arc::clone(sources),
    })?;
    for notice in &loaded.notices {
        tell_notice(notice, sources);
    }
    Ok(loaded)
}

fn tell_notice(notice: &LoadError, sources: &Sources) {
    let place = sources.locate(notice.mark);
    let place = place.map_or_else(String::new, |at| {
        format!("{}:{}:{}: ", at.path, at.line, at.column)
    });
    let help = notice.help.as_ref().map(|help| format!("; {help}"));
    let text = format!(
        "warning: {place}{}{}",
        notice.message,
        help.unwrap_or_default()
    );
    tell(&stagegate_report::printable(&text));
}

fn nothing_in(named: &Named, packages: &[String], sources: &Arc<Sources>) -> Error {
    let path = named.path.display();
    let message = format!(
        "there is no policy in {path}: no Rego in a package under `stagegate.` or in the package {}, \
         and no Gatekeeper constraint",
        packages.join(", ")
    );
    match named.mark {
        None => Error::Usage(message),
        Some(mark) => in_configuration(mark, message, sources),
    }
}

/// A mistake at a place of the configuration.
fn in_configuration(mark: Mark, message: String, sources: &Arc<Sources>) -> Error {
    Error::Config {
        errors: vec![ConfigError {
            mark,
            message,
            help: None,
        }],
        sources: Arc::clone(sources),
    }
}

/// Reads the files of a folder, or one file.
pub(crate) fn files_of(path: &Path, tree: &Tree) -> Result<Vec<PolicyFile>, Error> {
    let named = Named {
        path: path.to_owned(),
        mark: None,
    };
    read(&named, tree)
}

fn read(named: &Named, tree: &Tree) -> Result<Vec<PolicyFile>, Error> {
    let failed = |path: &Path, source: std::io::Error| match named.mark {
        None => Error::Read {
            path: path.to_owned(),
            source,
        },
        Some(mark) => {
            let message = format!("cannot read {}: {source}", path.display());
            in_configuration(mark, message, tree.sources())
        }
    };
    let paths = paths(&named.path).map_err(|(path, e)| failed(&path, e))?;
    let mut files = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path).map_err(|e| failed(&path, e))?;
        let below = path.strip_prefix(&named.path).ok();
        let below = below.filter(|below| !below.as_os_str().is_empty());
        let below = below.unwrap_or_else(|| Path::new(path.file_name().unwrap_or_default()));
        let absolute = path.canonicalize().map_err(|e| failed(&path, e))?;
        let shown = if absolute.starts_with(tree.root()) {
            tree.relative(&absolute)
        } else {
            path.to_string_lossy().replace('\\', "/")
        };
        let file = tree.add(&shown, bytes);
        if let Some(source) = tree.sources().get(file) {
            files.push(PolicyFile {
                path: below.to_string_lossy().replace('\\', "/"),
                file,
                source,
            });
        }
    }
    Ok(files)
}

/// The files of policies that a path means, sorted: itself, or those in a folder.
pub(crate) fn paths(path: &Path) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut paths = Vec::new();
    collect(path, &mut paths, &mut BTreeSet::new())?;
    paths.sort();
    Ok(paths)
}

/// The files that policies can stand in. Links are followed, as they are where a ConfigMap is
/// mounted; what is hidden is not looked at.
fn collect(
    folder: &Path,
    paths: &mut Vec<PathBuf>,
    visited: &mut BTreeSet<PathBuf>,
) -> Result<(), (PathBuf, std::io::Error)> {
    let at = |error| (folder.to_owned(), error);
    if !visited.insert(folder.canonicalize().map_err(at)?) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(at)? {
        let entry = entry.map_err(at)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths, visited)?;
            continue;
        }
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        if matches!(extension, "rego" | "yaml" | "yml" | "json") && path.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}
