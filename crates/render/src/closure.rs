//! A kustomization with everything that it refers to.

use std::collections::BTreeMap;

use stagegate_core::Mark;

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
                failures.push(Failure {
                    path: kustomization.path.clone(),
                    mark: reference.mark,
                    message: format!("{:?} leads back to itself: a circle", reference.path),
                    help: None,
                });
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
                    failures.push(Failure {
                        path: kustomization.path.clone(),
                        mark: reference.mark,
                        message: format!("the folder {:?} has no kustomization", reference.path),
                        help: Some("add a kustomization.yaml to it, or name its files".to_owned()),
                    });
                }
                return;
            }
        };
        if let Some(mark) = kustomization.helm_charts {
            failures.push(Failure {
                path: kustomization.path.clone(),
                mark,
                message: "helmCharts are not rendered by this version of stagegate".to_owned(),
                help: None,
            });
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
            path: kustomization.path.clone(),
            mark: reference.mark,
            message,
            help,
        };
        match (metadata, reference.role) {
            (Ok(m), Role::Resource | Role::Component) if m.is_dir() => {
                self.follow(tree, &path, Some((kustomization, reference)), way, failures);
            }
            (Ok(_), _) => {}
            (Err(_), _) if reference.is_remote() => failures.push(failure(
                format!(
                    "{:?} is remote, and stagegate does not use the network",
                    reference.path
                ),
                Some("copy it into the repository and name the copy".to_owned()),
            )),
            (Err(error), _) => failures.push(failure(
                format!("cannot read {:?}: {}", reference.path, describe(&error)),
                Some(format!("the path is seen from {folder:?}")),
            )),
        }
    }

    /// The kustomizations from the root to the one that names a file as its resource.
    pub(crate) fn chain_to(&self, file: &str) -> Option<Vec<&Kustomization>> {
        let mut chain = Vec::new();
        self.descend(&self.root, file, &mut chain).then_some(chain)
    }

    fn descend<'a>(&'a self, folder: &str, file: &str, chain: &mut Vec<&'a Kustomization>) -> bool {
        let Some(kustomization) = self.by_folder.get(folder) else {
            return false;
        };
        chain.push(kustomization);
        for reference in &kustomization.references {
            if !matches!(reference.role, Role::Resource | Role::Component) {
                continue;
            }
            let path = join(folder, &reference.path);
            if path == file || self.descend(&path, file, chain) {
                return true;
            }
        }
        chain.pop();
        false
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
        Err(error) => Some(Err(vec![Failure {
            message: format!("cannot be read: {}", describe(&error)),
            path,
            mark: Mark::NONE,
            help: None,
        }])),
    }
}

/// An error of the file system without its number, which differs between systems.
fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
