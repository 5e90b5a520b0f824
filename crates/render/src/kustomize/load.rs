//! Kustomizations and the files that they name, found and checked before anything is built.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stagegate_core::{FileId, Mark};
use stagegate_manifest::Source;

use super::spec::{Generator, ReplacementField, Spec, Text};
use super::{Context, Kustomize};
use crate::closure::describe;
use crate::kustomization::is_remote;
use crate::{Failure, KUSTOMIZATION_FILE_NAMES, Tree, join};

/// A folder with a kustomization.
pub(crate) struct Folder {
    /// Relative to the tree's root, free of links.
    pub(crate) path: String,
    /// Absolute and free of links.
    pub(crate) real: PathBuf,
    spec: Result<Spec, Vec<Failure>>,
    /// What it names, as far as that is a file or a folder.
    pub(crate) resources: Vec<(Text, Child)>,
    pub(crate) components: Vec<(Text, String)>,
    /// What cannot be read.
    failures: Vec<Failure>,
    /// What lies outside of the repository.
    remote: Vec<Failure>,
    /// It has no kustomization.
    pub(crate) is_absent: bool,
}

/// What a resource is.
pub(crate) enum Child {
    File,
    /// Its path, relative to the tree's root and free of links.
    Folder(String),
    /// It is left out.
    Remote,
}

impl Folder {
    /// # Errors
    /// Why its kustomization cannot be read.
    pub(crate) fn spec(&self) -> Result<&Spec, Vec<Failure>> {
        self.spec.as_ref().map_err(Clone::clone)
    }

    fn read(tree: &Tree, path: &str) -> Folder {
        let absolute = tree.absolute(path);
        let real = absolute.canonicalize().unwrap_or(absolute);
        let mut folder = Folder {
            path: path.to_owned(),
            real,
            spec: Err(Vec::new()),
            resources: Vec::new(),
            components: Vec::new(),
            failures: Vec::new(),
            remote: Vec::new(),
            is_absent: false,
        };
        let candidates = KUSTOMIZATION_FILE_NAMES.iter().map(|name| join(path, name));
        let files: Vec<String> = candidates
            .filter(|file| tree.absolute(file).is_file())
            .collect();
        folder.spec = match files.as_slice() {
            [] => {
                folder.is_absent = true;
                return folder;
            }
            [file] => match tree.read(file) {
                Ok((id, source)) => Spec::read(id, &source),
                Err(error) => Err(vec![Failure::new(
                    file,
                    Mark::NONE,
                    format!("cannot be read: {}", describe(&error)),
                )]),
            },
            [first, second, ..] => {
                let message = format!("found multiple kustomization files: there is {second} too");
                Err(vec![Failure::new(first, Mark::NONE, message)])
            }
        };
        folder.resolve(tree);
        folder
    }

    /// Looks every named file and folder up.
    fn resolve(&mut self, tree: &Tree) {
        let Ok(spec) = &self.spec else {
            return;
        };
        let mut failures = Vec::new();
        let mut remote = Vec::new();
        for text in &spec.resources {
            if text.value.is_empty() {
                failures.push(Failure::new(&spec.path, text.mark, "an empty path"));
                continue;
            }
            let path = join(&self.path, &text.value);
            let metadata = std::fs::metadata(tree.absolute(&path));
            let is_there = metadata.is_ok();
            // kustomize asks the network first for what looks like a URL, whatever there is on disk.
            if text.value.contains("://") || (is_remote(&text.value) && !is_there) {
                remote.push(remote_failure(&spec.path, text, true));
                self.resources.push((text.clone(), Child::Remote));
                continue;
            }
            match metadata {
                Ok(metadata) if metadata.is_dir() => {
                    let folder = real_folder(tree, &path);
                    self.resources.push((text.clone(), Child::Folder(folder)));
                }
                Ok(_) => self.resources.push((text.clone(), Child::File)),
                Err(error) => failures.push(unreadable(&self.path, &spec.path, text, &error)),
            }
        }
        for text in &spec.components {
            let path = join(&self.path, &text.value);
            match std::fs::metadata(tree.absolute(&path)) {
                Ok(metadata) if metadata.is_dir() => {
                    self.components
                        .push((text.clone(), real_folder(tree, &path)));
                }
                Ok(_) => failures.push(Failure::new(
                    &spec.path,
                    text.mark,
                    format!("{:?} is a file, and a component is a folder", text.value),
                )),
                Err(_) if is_remote(&text.value) => {
                    failures.push(remote_failure(&spec.path, text, false));
                }
                Err(error) => failures.push(unreadable(&self.path, &spec.path, text, &error)),
            }
        }
        for text in files_of(spec) {
            let path = join(&self.path, &text.value);
            match std::fs::metadata(tree.absolute(&path)) {
                Ok(_) => {}
                Err(_) if is_remote(&text.value) => {
                    failures.push(remote_failure(&spec.path, &text, false));
                }
                Err(error) => failures.push(unreadable(&self.path, &spec.path, &text, &error)),
            }
        }
        self.failures = failures;
        self.remote = remote;
    }
}

fn real_folder(tree: &Tree, path: &str) -> String {
    let real = tree.absolute(path).canonicalize();
    real.map_or_else(|_| path.to_owned(), |real| tree.relative(&real))
}

/// Files that are neither manifests nor kustomizations.
fn files_of(spec: &Spec) -> Vec<Text> {
    let patches = spec
        .merges
        .iter()
        .chain(&spec.patches)
        .chain(&spec.json_patches);
    let mut files: Vec<Text> = patches.filter_map(|patch| patch.path.clone()).collect();
    files.extend(spec.crds.iter().chain(&spec.configurations).cloned());
    files.extend(
        spec.replacements
            .iter()
            .filter_map(|replacement| match replacement {
                ReplacementField::Path(path) => Some(path.clone()),
                ReplacementField::Here(_) => None,
            }),
    );
    for generator in spec.config_maps.iter().chain(&spec.secrets) {
        files.extend(generator.envs.iter().cloned());
        files.extend(data_files(generator));
    }
    files
}

/// The paths of `files:`, without their keys.
fn data_files(generator: &Generator) -> impl Iterator<Item = Text> {
    generator.files.iter().filter_map(|file| {
        let (key, path) = file.value.split_once('=').unwrap_or(("-", &file.value));
        // What is no file at all is told when it is read.
        (!key.is_empty() && !path.is_empty() && !path.contains('=')).then(|| Text {
            value: path.into(),
            mark: file.mark,
        })
    })
}

fn remote_failure(path: &str, text: &Text, external: bool) -> Failure {
    let message = format!(
        "{:?} is remote, and stagegate does not use the network",
        text.value
    );
    let failure = Failure::new(path, text.mark, message)
        .with_help("copy it into the repository and name the copy");
    Failure {
        external,
        ..failure
    }
}

fn unreadable(folder: &str, path: &str, text: &Text, error: &std::io::Error) -> Failure {
    let why = describe(error);
    // A literal that was written as a file may hold a secret.
    let message = match text.value.split_once('=') {
        Some((key, _)) => format!("cannot read the file given as \"{key}=…\": {why}"),
        None => format!("cannot read {:?}: {why}", text.value),
    };
    Failure::new(path, text.mark, message).with_help(format!("the path is seen from {folder:?}"))
}

/// What there is to be rendered, and what stands in the way.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) failures: Vec<Failure>,
    /// What only the program does: the file, the place, the field.
    pub(crate) unsupported: Vec<(String, Mark, &'static str)>,
    /// What lies outside of the repository.
    pub(crate) remote: Vec<Failure>,
}

/// What a folder is used as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Root,
    Resource,
    Component,
}

impl Kustomize {
    /// A folder; read once, however many overlays name it.
    pub(crate) fn folder(&self, tree: &Tree, path: &str) -> Arc<Folder> {
        let known = self.lock_folders().get(path).map(Arc::clone);
        known.unwrap_or_else(|| {
            let folder = Arc::new(Folder::read(tree, path));
            self.lock_folders()
                .insert(path.to_owned(), Arc::clone(&folder));
            folder
        })
    }

    /// Goes through everything that a root builds on.
    pub(crate) fn plan(&self, tree: &Tree, root: &str) -> Plan {
        let mut plan = Plan::default();
        let mut planning = Planning {
            kustomize: self,
            tree,
            plan: &mut plan,
            below: HashMap::new(),
        };
        planning.follow(root, Use::Root, None, &mut Vec::new());
        plan
    }
}

struct Planning<'a> {
    kustomize: &'a Kustomize,
    tree: &'a Tree,
    plan: &'a mut Plan,
    /// What was gone through already: a folder, and all that it builds on.
    below: HashMap<String, BTreeSet<PathBuf>>,
}

impl Planning<'_> {
    fn follow(
        &mut self,
        path: &str,
        used_as: Use,
        by: Option<(&Spec, &Text)>,
        way: &mut Vec<PathBuf>,
    ) {
        /// Deeper chains of bases are a mistake or meant to do harm.
        const DEEPEST: usize = 256;
        /// Nobody reads more, and a circle may be found in very many ways.
        const MOST: usize = 100;
        if self.plan.failures.len() >= MOST {
            return;
        }
        let folder = self.kustomize.folder(self.tree, path);
        let is_first = !self.below.contains_key(path);
        let at = |message: String| match by {
            Some((spec, text)) => Failure::new(&spec.path, text.mark, message),
            None => Failure::new(path, Mark::NONE, message),
        };
        if let Some(visited) = way.iter().find(|visited| visited.starts_with(&folder.real)) {
            let message = match by {
                Some((_, text)) if *visited == folder.real => {
                    format!(
                        "cycle detected: {:?} leads back to itself: a circle",
                        text.value
                    )
                }
                _ => format!(
                    "cycle detected: {path} contains {}",
                    self.tree.relative(visited)
                ),
            };
            self.plan.failures.push(at(message));
            return;
        }
        if way.len() >= DEEPEST {
            self.plan
                .failures
                .push(at(format!("bases nest deeper than {DEEPEST} levels")));
            return;
        }
        if folder.is_absent {
            let named = by.map_or(path, |(_, text)| text.as_str());
            let failure = at(format!("the folder {named:?} has no kustomization"));
            let help = "add a kustomization.yaml to it, or name its files";
            self.plan.failures.push(failure.with_help(help));
            return;
        }
        let spec = match &folder.spec {
            Ok(spec) => spec,
            Err(failures) => {
                self.plan.failures.extend(failures.iter().cloned());
                return;
            }
        };
        match (used_as, spec.is_component) {
            (Use::Resource, true) => {
                let failure = at(format!("expected kind != 'Component' for path '{path}'"));
                self.plan
                    .failures
                    .push(failure.with_help("name it under components"));
            }
            (Use::Component, false) => {
                let message =
                    format!("expected kind 'Component' for path '{path}' but got 'Kustomization'");
                self.plan
                    .failures
                    .push(at(message).with_help("name it under resources"));
            }
            _ => {}
        }
        // A base below itself must be found whoever leads to it, all else is told once.
        let is_circle = |below: &BTreeSet<PathBuf>| {
            let holds =
                |visited: &PathBuf| visited.ancestors().any(|folder| below.contains(folder));
            way.iter().any(holds)
        };
        if !is_first && !self.below.get(path).is_some_and(is_circle) {
            return;
        }
        if is_first {
            self.below.insert(path.to_owned(), BTreeSet::new());
            self.plan.failures.extend(folder.failures.iter().cloned());
            self.plan.remote.extend(folder.remote.iter().cloned());
            let unsupported = spec.unsupported.iter();
            let unsupported = unsupported.map(|(mark, what)| (spec.path.clone(), *mark, *what));
            self.plan.unsupported.extend(unsupported);
            if let Some(mark) = spec.helm_charts {
                let message = "helmCharts are not rendered by this version of stagegate";
                self.plan
                    .failures
                    .push(Failure::new(&spec.path, mark, message));
            }
        }
        way.push(folder.real.clone());
        let mut below = BTreeSet::from([folder.real.clone()]);
        let bases = folder
            .resources
            .iter()
            .filter_map(|(text, child)| match child {
                Child::Folder(path) => Some((text, path, Use::Resource)),
                _ => None,
            });
        let components = folder
            .components
            .iter()
            .map(|(text, path)| (text, path, Use::Component));
        for (text, path, used_as) in bases.chain(components) {
            self.follow(path, used_as, Some((spec, text)), way);
            below.extend(self.below.get(path).into_iter().flatten().cloned());
        }
        way.pop();
        self.below.insert(folder.path.clone(), below);
    }
}

impl Context<'_> {
    pub(crate) fn folder(&self, path: &str) -> Arc<Folder> {
        self.kustomize.folder(self.tree, path)
    }

    /// Reads a file that a kustomization names.
    ///
    /// # Errors
    /// It cannot be read, or must not be.
    pub(crate) fn read(
        &self,
        folder: &str,
        text: &Text,
    ) -> Result<(FileId, Arc<Source>), Vec<Failure>> {
        let path = self.allowed(folder, text)?;
        self.tree
            .read(&path)
            .map_err(|error| vec![self.unreadable(folder, text, &error)])
    }

    /// The bytes of such a file.
    ///
    /// # Errors
    /// It cannot be read, or must not be.
    pub(crate) fn bytes(&self, folder: &str, text: &Text) -> Result<Vec<u8>, Vec<Failure>> {
        let path = self.allowed(folder, text)?;
        self.tree
            .read_bytes(&path)
            .map_err(|error| vec![self.unreadable(folder, text, &error)])
    }

    fn unreadable(&self, folder: &str, text: &Text, error: &std::io::Error) -> Failure {
        let path = self.tree.sources().path(text.mark.file);
        unreadable(folder, &path.unwrap_or_default(), text, error)
    }

    /// The path of a file, if it may be read from here.
    fn allowed(&self, folder: &str, text: &Text) -> Result<String, Vec<Failure>> {
        let path = join(folder, &text.value);
        if self.unrestricted {
            return Ok(path);
        }
        let real = self.tree.absolute(&path).canonicalize();
        let real = real.map_err(|error| vec![self.unreadable(folder, text, &error)])?;
        if !is_below(&real, &self.folder(folder).real) {
            let message = format!(
                "security; file {:?} is not in or below {folder:?}",
                text.value
            );
            return Err(vec![self.failure(text.mark, message).with_help(
                "move it into the folder; where Flux builds this, say so in stagegate.yaml: \
                 kustomize: [{paths: […], loadRestrictions: none}]",
            )]);
        }
        Ok(path)
    }
}

fn is_below(path: &Path, folder: &Path) -> bool {
    path.starts_with(folder)
}
