//! Walks the folder and reads what could be a manifest.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ignore::WalkBuilder;
use rayon::prelude::*;
use stagegate_core::{Mark, Object};
use stagegate_manifest::Profile;
use stagegate_render::{
    Failure, KUSTOMIZATION_FILE_NAMES, Kustomization, Tree, parent, read_plain,
};

use crate::classify::{self, Class};
use crate::{EntryKind, Fate, LayoutError, StageLayout};

/// A file, read.
pub(crate) struct ScannedFile {
    pub(crate) path: String,
    pub(crate) class: Class,
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) failures: Vec<Failure>,
}

/// Everything in the folder that matters, sorted by path.
pub(crate) struct Scanned {
    pub(crate) files: Vec<ScannedFile>,
    /// Folders with a Chart.yaml that lie in no other chart.
    pub(crate) charts: Vec<String>,
}

pub(crate) fn scan(tree: &Tree, only_file: Option<&str>) -> Result<Scanned, LayoutError> {
    let paths = match only_file {
        Some(file) => vec![Found::File(file.to_owned())],
        None => walk(tree)?,
    };
    let chart_folders: BTreeSet<&str> = paths
        .iter()
        .filter_map(|found| match found {
            Found::File(path) if file_name(path) == "Chart.yaml" => Some(parent(path)),
            _ => None,
        })
        .collect();
    let files = paths
        .par_iter()
        .map(|found| read(tree, found, &chart_folders))
        .collect();
    let charts = chart_folders
        .iter()
        .filter(|folder| chart_of(parent(folder), &chart_folders).is_none() || **folder == ".")
        .map(|folder| (*folder).to_owned())
        .collect();
    Ok(Scanned { files, charts })
}

enum Found {
    File(String),
    /// A link that is not followed, and why.
    Link(String, &'static str),
}

/// Every file that could matter, sorted by path. What git ignores is left out, inside a git work
/// tree only; ignore files of other tools and of the user's home are not looked at, so that two
/// machines see the same files.
fn walk(tree: &Tree) -> Result<Vec<Found>, LayoutError> {
    let mut builder = WalkBuilder::new(tree.root());
    builder
        .hidden(false)
        .ignore(false)
        .git_global(false)
        .git_exclude(false)
        .filter_entry(|entry| entry.file_name() != ".git");
    let mut found = Vec::new();
    for entry in builder.build() {
        let entry = entry.map_err(|error| LayoutError::Unreadable {
            path: tree.root().display().to_string(),
            message: error.to_string(),
        })?;
        let kind = entry.file_type();
        if kind.is_some_and(|k| k.is_dir()) {
            continue;
        }
        let path = tree.relative(entry.path());
        if !may_be_manifest(&path) && !kind.is_some_and(|k| k.is_symlink()) {
            continue;
        }
        if kind.is_some_and(|k| k.is_symlink()) {
            found.extend(link(tree, entry.path(), path));
        } else if kind.is_some_and(|k| k.is_file()) {
            found.push((path, None));
        } else {
            found.push((path, Some("not a regular file")));
        }
    }
    found.sort();
    Ok(found
        .into_iter()
        .map(|(path, reason)| match reason {
            None => Found::File(path),
            Some(reason) => Found::Link(path, reason),
        })
        .collect())
}

/// A link to a file of the tree is that file under another name, as it is for `kubectl apply`.
fn link(tree: &Tree, absolute: &Path, path: String) -> Option<(String, Option<&'static str>)> {
    match absolute.canonicalize() {
        Ok(target) if !target.starts_with(tree.root()) => {
            Some((path, Some("a link that leads out of the folder")))
        }
        Ok(target) if target.is_dir() => Some((
            path,
            Some("a link to a folder; what is in it is judged where it stands"),
        )),
        Ok(_) if !may_be_manifest(&path) => None,
        Ok(target) if target.is_file() => Some((path, None)),
        Ok(_) => Some((path, Some("not a regular file"))),
        Err(_) if may_be_manifest(&path) => Some((path, Some("a link that leads nowhere"))),
        Err(_) => None,
    }
}

fn may_be_manifest(path: &str) -> bool {
    let name = file_name(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(extension, "yaml" | "yml" | "json") || KUSTOMIZATION_FILE_NAMES.contains(&name)
}

pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The innermost chart that a folder lies in.
fn chart_of<'c>(folder: &str, charts: &BTreeSet<&'c str>) -> Option<&'c str> {
    let mut folder = folder;
    loop {
        if let Some(chart) = charts.get(folder) {
            return Some(chart);
        }
        if folder == "." {
            return None;
        }
        folder = parent(folder);
    }
}

fn read(tree: &Tree, found: &Found, charts: &BTreeSet<&str>) -> ScannedFile {
    let path = match found {
        Found::File(path) => path,
        Found::Link(path, reason) => {
            return ScannedFile::skipped(path, Class::Data((*reason).to_owned()));
        }
    };
    if let Some(chart) = chart_of(parent(path), charts)
        && classify::is_chart_part(chart, path)
    {
        return ScannedFile::skipped(
            path,
            Class::ChartPart {
                chart: chart.to_owned(),
            },
        );
    }
    let (file, source) = match tree.read_first(path) {
        Ok(read) => read,
        Err(error) => {
            let mut file = ScannedFile::skipped(path, Class::Broken);
            file.failures.push(Failure {
                path: path.clone(),
                mark: Mark::NONE,
                message: format!("cannot be read: {error}"),
                help: None,
            });
            return file;
        }
    };
    if KUSTOMIZATION_FILE_NAMES.contains(&file_name(path)) {
        match Kustomization::read(file, &source) {
            Ok(Some(kustomization)) => {
                return ScannedFile::skipped(path, Class::Kustomization(Box::new(kustomization)));
            }
            Err(failures) => {
                let mut file = ScannedFile::skipped(path, Class::BrokenKustomization);
                file.failures = failures;
                return file;
            }
            // Another object in a file of that name, such as Flux's.
            Ok(None) => {}
        }
    }
    let content = read_plain(file, &source, Profile::Apply);
    let classified = classify::classify(path, &source.text, content);
    let failures = classified.problems.into_iter().map(|problem| Failure {
        path: path.clone(),
        mark: problem.mark,
        message: problem.message,
        help: None,
    });
    ScannedFile {
        path: path.clone(),
        class: classified.class,
        objects: classified.objects.into_iter().map(Arc::new).collect(),
        failures: failures.collect(),
    }
}

impl ScannedFile {
    fn skipped(path: &str, class: Class) -> Self {
        ScannedFile {
            path: path.to_owned(),
            class,
            objects: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// What it is, for the coverage.
    pub(crate) fn kind(&self) -> EntryKind {
        match self.class {
            Class::Manifests => EntryKind::Manifest,
            Class::Kustomization(_) | Class::BrokenKustomization => EntryKind::Kustomization,
            Class::ChartPart { .. } | Class::Data(_) | Class::Broken => EntryKind::Data,
        }
    }
}

/// Lays out a stream of manifests, such as standard input, as one stage.
pub fn read_stream(tree: &Tree, name: &str, bytes: Vec<u8>) -> crate::Layout {
    let file = tree.add(name, bytes);
    let mut layout = crate::Layout::default();
    let Some(source) = tree.sources().get(file) else {
        return layout;
    };
    let content = read_plain(file, &source, Profile::Apply);
    layout.failures = content
        .problems
        .into_iter()
        .map(|problem| Failure {
            path: name.to_owned(),
            mark: problem.mark,
            message: problem.message,
            help: None,
        })
        .collect();
    let stage = stagegate_core::Stage::default_stage();
    layout.entries.push(crate::Entry {
        path: name.to_owned(),
        kind: EntryKind::Manifest,
        fate: Fate::Judged {
            stage: stage.name.clone(),
        },
    });
    layout.stages.push(StageLayout {
        stage,
        paths: vec![name.to_owned()],
        objects: content.objects.into_iter().map(Arc::new).collect(),
        kustomizations: Vec::new(),
    });
    layout
}
