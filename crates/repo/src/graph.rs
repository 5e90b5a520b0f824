//! Which kustomizations use what, and which are roots.

use std::collections::{BTreeMap, BTreeSet};

use stagegate_render::{Kustomization, Role, Tree, join, parent};

use crate::classify::Class;
use crate::scan::Scanned;

/// The use of files and folders by kustomizations.
pub(crate) struct Graph {
    /// Folders of kustomizations that nothing else uses, sorted: what is deployed.
    pub(crate) roots: Vec<String>,
    /// By file or folder, the kustomization file that names it.
    pub(crate) used_by: BTreeMap<String, String>,
    /// Folders that hold a kustomization, with its file.
    pub(crate) folders: BTreeMap<String, String>,
    /// The linted folder is itself a kustomization, and nothing else in it is looked at.
    pub(crate) root_only: bool,
}

impl Graph {
    /// `may_be_root` says that nothing else decides the stages, so that a kustomization in the
    /// linted folder itself is the one thing to judge.
    pub(crate) fn of(tree: &Tree, scanned: &Scanned, may_be_root: bool) -> Graph {
        let mut folders = BTreeMap::new();
        let mut kustomizations: BTreeMap<&str, &Kustomization> = BTreeMap::new();
        for file in &scanned.files {
            match &file.class {
                Class::Kustomization(kustomization) => {
                    kustomizations.insert(parent(&file.path), kustomization);
                    folders.insert(parent(&file.path).to_owned(), file.path.clone());
                }
                Class::BrokenKustomization => {
                    folders.insert(parent(&file.path).to_owned(), file.path.clone());
                }
                _ => {}
            }
        }

        let mut used_by: BTreeMap<String, String> = BTreeMap::new();
        for (folder, kustomization) in &kustomizations {
            for reference in &kustomization.references {
                let path = join(folder, &reference.path);
                used_by
                    .entry(path.clone())
                    .or_insert_with(|| kustomization.path.clone());
                // Folders of plugins hold files that kustomize reads by itself.
                if reference.role == Role::Plugin && tree.absolute(&path).is_dir() {
                    let inside = format!("{path}/");
                    for file in scanned.files.iter().filter(|f| f.path.starts_with(&inside)) {
                        used_by
                            .entry(file.path.clone())
                            .or_insert_with(|| kustomization.path.clone());
                    }
                }
            }
        }

        let root_only = may_be_root && folders.contains_key(".");
        let roots = if root_only {
            vec![".".to_owned()]
        } else {
            roots(&kustomizations, &used_by)
        };
        Graph {
            roots,
            used_by,
            folders,
            root_only,
        }
    }
}

fn roots(
    kustomizations: &BTreeMap<&str, &Kustomization>,
    used_by: &BTreeMap<String, String>,
) -> Vec<String> {
    let renders = |folder: &&&str| !kustomizations[**folder].component;
    let mut roots: Vec<String> = kustomizations
        .keys()
        .filter(renders)
        .filter(|folder| !used_by.contains_key(**folder))
        .map(|folder| (*folder).to_owned())
        .collect();
    // Kustomizations that use each other in a circle have no root, and must not vanish with it:
    // the first of each circle is taken for one, and rendering it says what is wrong.
    let mut reached = BTreeSet::new();
    for root in &roots {
        reach(root, kustomizations, &mut reached);
    }
    for folder in kustomizations.keys().filter(renders) {
        if !reached.contains(*folder) {
            roots.push((*folder).to_owned());
            reach(folder, kustomizations, &mut reached);
        }
    }
    roots.sort();
    roots
}

fn reach(
    folder: &str,
    kustomizations: &BTreeMap<&str, &Kustomization>,
    reached: &mut BTreeSet<String>,
) {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Some(kustomization) = kustomizations.get(folder.as_str()) else {
            continue;
        };
        if reached.insert(folder.clone()) {
            open.extend(
                kustomization
                    .references
                    .iter()
                    .map(|r| join(&folder, &r.path)),
            );
        }
    }
}
