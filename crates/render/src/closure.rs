//! A kustomization with everything that it refers to.

use std::collections::BTreeMap;

use stagegate_core::{Mark, Node};
use stagegate_manifest::{Format, Profile, load};

use crate::inline::inline;
use crate::kustomization::is_remote;
use crate::{Failure, KUSTOMIZATION_FILE_NAMES, Kustomization, Reference, Role, Tree, join};

/// The kustomizations below a root, by folder.
pub(crate) struct Closure {
    pub(crate) root: String,
    pub(crate) by_folder: BTreeMap<String, Kustomization>,
}

impl Closure {
    /// Follows a root's references.
    ///
    /// # Errors
    /// What cannot be rendered, found before anything is started: files that are missing, circles,
    /// and what would take a network or a chart.
    pub(crate) fn load(tree: &Tree, root: &str) -> Result<Closure, Vec<Failure>> {
        let mut closure = Closure {
            root: root.to_owned(),
            by_folder: BTreeMap::new(),
        };
        let mut failures = Vec::new();
        closure.follow(tree, root, None, &mut Vec::new(), &mut failures);
        if failures.is_empty() {
            Ok(closure)
        } else {
            Err(failures)
        }
    }

    fn follow(
        &mut self,
        tree: &Tree,
        folder: &str,
        from: Option<(&Kustomization, &Reference)>,
        way: &mut Vec<String>,
        failures: &mut Vec<Failure>,
    ) {
        if way.iter().any(|f| f == folder) {
            if let Some((kustomization, reference)) = from {
                failures.push(Failure::new(
                    &kustomization.path,
                    reference.mark,
                    format!("{:?} leads back to itself: a circle", reference.path),
                ));
            }
            return;
        }
        if self.by_folder.contains_key(folder) {
            return;
        }
        let kustomization = match read_folder(tree, folder) {
            Some(Ok(kustomization)) => kustomization,
            Some(Err(found)) => return failures.extend(found),
            None => {
                if let Some((kustomization, reference)) = from {
                    failures.push(
                        Failure::new(
                            &kustomization.path,
                            reference.mark,
                            format!("the folder {:?} has no kustomization", reference.path),
                        )
                        .with_help("add a kustomization.yaml to it, or name its files"),
                    );
                }
                return;
            }
        };
        if let Some(mark) = kustomization.helm_charts {
            failures.push(Failure::new(
                &kustomization.path,
                mark,
                "helmCharts are not rendered by this version of stagegate",
            ));
        }
        if from.is_none() && kustomization.component {
            failures.push(
                Failure::new(
                    &kustomization.path,
                    kustomization.mark,
                    "a component renders nothing by itself",
                )
                .with_help("judge a kustomization that uses it"),
            );
        }
        for plugin in &kustomization.inline_plugins {
            let documents = inline(plugin, tree.sources(), Profile::Kustomize, true).documents;
            failures.extend(
                documents
                    .iter()
                    .filter_map(|d| network_plugin(&kustomization.path, d)),
            );
        }
        way.push(folder.to_owned());
        for reference in &kustomization.references {
            self.reference(tree, folder, &kustomization, reference, way, failures);
        }
        way.pop();
        self.by_folder.insert(folder.to_owned(), kustomization);
    }

    fn reference(
        &mut self,
        tree: &Tree,
        folder: &str,
        kustomization: &Kustomization,
        reference: &Reference,
        way: &mut Vec<String>,
        failures: &mut Vec<Failure>,
    ) {
        let path = join(folder, &reference.path);
        let metadata = std::fs::metadata(tree.absolute(&path));
        let failure = |message: String, help: Option<String>| Failure {
            help,
            ..Failure::new(&kustomization.path, reference.mark, message)
        };
        let is_file = metadata.as_ref().is_ok_and(std::fs::Metadata::is_file);
        // kustomize asks the network first for what looks like a URL, whatever there is on disk.
        if reference.path.contains("://") || (reference.is_remote() && !is_file) {
            let mut remote = failure(
                format!(
                    "{:?} is remote, and stagegate does not use the network",
                    reference.path
                ),
                Some("copy it into the repository and name the copy".to_owned()),
            );
            remote.external = true;
            failures.push(remote);
            return;
        }
        match (metadata, reference.role) {
            (Ok(m), Role::Resource | Role::Component) if m.is_dir() => {
                self.follow(tree, &path, Some((kustomization, reference)), way, failures);
            }
            (Ok(m), Role::Plugin) => plugin_files(tree, &path, m.is_dir(), failures),
            (Ok(_), _) => {}
            (Err(error), role) => failures.push(failure(
                // A literal that was written as a file may hold a secret.
                match reference.path.split_once('=') {
                    Some((key, _)) if role == Role::Data => {
                        format!(
                            "cannot read the file given as \"{key}=…\": {}",
                            describe(&error)
                        )
                    }
                    _ => format!("cannot read {:?}: {}", reference.path, describe(&error)),
                },
                Some(format!("the path is seen from {folder:?}")),
            )),
        }
    }

    /// Every way from the root to a file that is named as a resource, up to a bound: a base may be
    /// used by many overlays below one root.
    pub(crate) fn chains_to(&self, file: &str) -> Vec<Vec<&Kustomization>> {
        let mut found = Vec::new();
        self.descend(&self.root, file, &mut Vec::new(), &mut found);
        found
    }

    fn descend<'a>(
        &'a self,
        folder: &str,
        file: &str,
        chain: &mut Vec<&'a Kustomization>,
        found: &mut Vec<Vec<&'a Kustomization>>,
    ) {
        const MOST: usize = 32;
        let Some(kustomization) = self.by_folder.get(folder) else {
            return;
        };
        chain.push(kustomization);
        for reference in &kustomization.references {
            if found.len() >= MOST {
                break;
            }
            if !matches!(reference.role, Role::Resource | Role::Component) {
                continue;
            }
            let path = join(folder, &reference.path);
            if path == file {
                found.push(chain.clone());
            } else if path != folder {
                self.descend(&path, file, chain, found);
            }
        }
        chain.pop();
    }

    /// The components that a kustomization applies, and theirs, in order.
    pub(crate) fn components<'a>(&'a self, of: &Kustomization, found: &mut Vec<&'a Kustomization>) {
        let folder = crate::parent(&of.path);
        for reference in of.references.iter().filter(|r| r.role == Role::Component) {
            if let Some(component) = self.by_folder.get(&join(folder, &reference.path))
                && !found.iter().any(|k| k.path == component.path)
            {
                self.components(component, found);
                found.push(component);
            }
        }
    }
}

/// Looks into files of generators and transformers for paths that lead to the network.
fn plugin_files(tree: &Tree, path: &str, is_folder: bool, failures: &mut Vec<Failure>) {
    let files = if is_folder {
        let Ok(entries) = std::fs::read_dir(tree.absolute(path)) else {
            return;
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(join(path, &entry.ok()?.file_name().to_string_lossy())))
            .collect();
        names.sort();
        names
    } else {
        vec![path.to_owned()]
    };
    for file in files {
        let Ok((id, source)) = tree.read(&file) else {
            continue;
        };
        let loaded = load(id, &source, Format::Yaml, Profile::Kustomize);
        failures.extend(
            loaded
                .documents
                .iter()
                .filter_map(|d| network_plugin(&file, d)),
        );
    }
}

/// A built-in generator or transformer that would ask the network, anywhere in its configuration.
fn network_plugin(file: &str, node: &Node) -> Option<Failure> {
    const PATHS: [&str; 8] = [
        "path",
        "paths",
        "files",
        "envs",
        "env",
        "resources",
        "valuesFile",
        "repo",
    ];
    let own = node
        .entries()
        .iter()
        .filter(|e| PATHS.contains(&e.key.as_str()))
        .find_map(|entry| {
            let texts = std::iter::once(&entry.node).chain(entry.node.items());
            texts.into_iter().find(|text| {
                let path = text
                    .as_str()
                    .map(|t| t.split_once('=').map_or(t, |(_, path)| path));
                path.is_some_and(is_remote) || text.as_str().is_some_and(is_remote)
            })
        });
    if let Some(remote) = own {
        return Some(
            Failure::new(
                file,
                remote.mark,
                "a remote file, and stagegate does not use the network",
            )
            .with_help("copy it into the repository and name the copy"),
        );
    }
    let below = node.entries().iter().map(|e| &e.node).chain(node.items());
    below.into_iter().find_map(|n| network_plugin(file, n))
}

/// The kustomization of a folder. `None` where the folder has none.
pub(crate) fn read_folder(
    tree: &Tree,
    folder: &str,
) -> Option<Result<Kustomization, Vec<Failure>>> {
    let path = KUSTOMIZATION_FILE_NAMES
        .iter()
        .map(|name| join(folder, name))
        .find(|path| tree.absolute(path).is_file())?;
    match tree.read(&path) {
        Ok((file, source)) => Kustomization::read(file, &source).transpose(),
        Err(error) => {
            let message = format!("cannot be read: {}", describe(&error));
            Some(Err(vec![Failure::new(path, Mark::NONE, message)]))
        }
    }
}

/// An error of the file system without its number, which differs between systems.
pub(crate) fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
