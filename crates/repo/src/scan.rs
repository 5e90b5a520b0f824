//! Walks the folder and reads what could be a manifest.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ignore::WalkBuilder;
use rayon::prelude::*;
use stagegate_core::{Entry, Mark, Node, Object, Value};
use stagegate_manifest::{Ambiguity, Profile, ambiguities, dotenv};
use stagegate_render::{
    Failure, KUSTOMIZATION_FILE_NAMES, Kustomization, Tree, is_within, parent, read_plain,
};

use crate::classify::{self, Class};
use crate::tracked;
use crate::{EntryKind, Fate, LayoutError, StageLayout};

/// A file, read.
pub(crate) struct ScannedFile {
    pub(crate) path: String,
    pub(crate) class: Class,
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) ambiguities: Vec<Ambiguity>,
    /// Where secrets stand in it.
    pub(crate) secrets: Vec<Mark>,
    /// It could not be read, and may hold secrets.
    pub(crate) hidden: bool,
}

/// Everything in the folder that matters, sorted by path.
pub(crate) struct Scanned {
    pub(crate) files: Vec<ScannedFile>,
    /// Folders with a Chart.yaml that lie in no other chart.
    pub(crate) charts: Vec<String>,
}

pub(crate) fn scan(
    tree: &Tree,
    only_file: Option<&str>,
    policy_folders: &[String],
) -> Result<Scanned, LayoutError> {
    let paths = match only_file {
        Some(file) => vec![Found::File(file.to_owned())],
        None => without_policies(walk(tree)?, policy_folders),
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

/// What stands in folders of policies is not for a cluster.
fn without_policies(found: Vec<Found>, folders: &[String]) -> Vec<Found> {
    let is_policy = |path: &str| folders.iter().any(|folder| is_within(path, folder));
    let passed = |found: Found| match found {
        Found::File(path) | Found::Unreadable(path, _) if is_policy(&path) => {
            Found::Passed(path, "part of the policies")
        }
        other => other,
    };
    found.into_iter().map(passed).collect()
}

enum Found {
    File(String),
    /// Something that is not read, and why.
    Passed(String, &'static str),
    /// Something that should be read and cannot be, and why.
    Unreadable(String, String),
}

impl Found {
    fn path(&self) -> &str {
        match self {
            Found::File(path) | Found::Passed(path, _) | Found::Unreadable(path, _) => path,
        }
    }
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
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.push(unreadable(tree, &error)?);
                continue;
            }
        };
        let Some(kind) = entry.file_type().filter(|k| !k.is_dir()) else {
            continue;
        };
        let path = tree.relative(entry.path());
        if kind.is_symlink() {
            found.extend(link(tree, entry.path(), path));
        } else if may_be_manifest(&path) {
            found.push(if kind.is_file() {
                Found::File(path)
            } else {
                Found::Passed(path, "not a regular file")
            });
        }
    }
    found.sort_by(|a, b| a.path().cmp(b.path()));
    let seen = |path: &str| found.binary_search_by(|f| f.path().cmp(path)).is_ok();
    let by_force: Vec<String> = tracked::files(tree)
        .into_iter()
        .filter(|path| may_be_manifest(path) && !seen(path) && tree.absolute(path).is_file())
        .collect();
    if !by_force.is_empty() {
        found.extend(by_force.into_iter().map(Found::File));
        found.sort_by(|a, b| a.path().cmp(b.path()));
    }
    Ok(found)
}

/// A folder that cannot be read loses none of the others, unless it is the linted one.
fn unreadable(tree: &Tree, error: &ignore::Error) -> Result<Found, LayoutError> {
    fn path_of(error: &ignore::Error) -> Option<&Path> {
        match error {
            ignore::Error::WithPath { path, .. } => Some(path),
            ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
                path_of(err)
            }
            _ => None,
        }
    }
    let message = error
        .io_error()
        .map_or_else(|| error.to_string(), |e| e.kind().to_string());
    match path_of(error).map(|path| tree.relative(path)) {
        Some(path) if path != "." => Ok(Found::Unreadable(path, message)),
        _ => Err(LayoutError::Unreadable {
            path: tree.root().display().to_string(),
            message,
        }),
    }
}

/// A link to a file of the tree is that file under another name, as it is for `kubectl apply`. One
/// that leads nowhere, or out of the tree, is what Argo CD refuses to deploy.
fn link(tree: &Tree, absolute: &Path, path: String) -> Option<Found> {
    let target = absolute.canonicalize();
    let is_folder = target.as_ref().is_ok_and(|t| t.is_dir());
    if !may_be_manifest(&path) && !is_folder {
        return None;
    }
    Some(match target {
        Ok(target) if !target.starts_with(tree.root()) && !is_folder => {
            Found::Unreadable(path, "a link that leads out of the folder".to_owned())
        }
        Ok(_) if is_folder => Found::Passed(
            path,
            "a link to a folder; what is in it is judged where it stands",
        ),
        Ok(target) if target.is_file() => Found::File(path),
        Ok(_) => Found::Passed(path, "not a regular file"),
        Err(_) => Found::Unreadable(path, "a link that leads nowhere".to_owned()),
    })
}

fn may_be_manifest(path: &str) -> bool {
    let name = file_name(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(extension, "yaml" | "yml" | "json")
        || classify::is_dotenv(path)
        || KUSTOMIZATION_FILE_NAMES.contains(&name)
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
        Found::Passed(path, reason) => {
            return ScannedFile::skipped(path, Class::Data((*reason).to_owned()));
        }
        Found::File(path) | Found::Unreadable(path, _) => path,
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
    let read = match found {
        Found::Unreadable(_, why) => Err(why.clone()),
        _ => tree.read_first(path).map_err(|error| error.to_string()),
    };
    let (file, source) = match read {
        Ok(read) => read,
        Err(why) => {
            let mut file = ScannedFile::skipped(path, Class::Broken);
            let message = format!("cannot be read: {why}");
            file.failures.push(Failure::new(path, Mark::NONE, message));
            return file;
        }
    };
    if classify::is_dotenv(path) {
        return of_variables(path, dotenv(file, &source));
    }
    if KUSTOMIZATION_FILE_NAMES.contains(&file_name(path)) {
        match Kustomization::read(file, &source) {
            Ok(Some(kustomization)) => {
                let secrets = kustomization.secrets.clone();
                let class = Class::Kustomization(Box::new(kustomization));
                let mut file = ScannedFile::skipped(path, class);
                file.secrets = secrets;
                return file;
            }
            Err(failures) => {
                let mut file = ScannedFile::skipped(path, Class::BrokenKustomization);
                file.failures = failures;
                file.hidden = may_hold_secrets(&source.text);
                return file;
            }
            // Another object in a file of that name, such as Flux's.
            Ok(None) => {}
        }
    }
    let root = crate::stages::root_of(parent(path));
    let content = read_plain(file, &source, Profile::Apply, &root);
    let classified = classify::classify(path, &source.text, content);
    let failures = classified
        .problems
        .into_iter()
        .map(|problem| Failure::new(path, problem.mark, problem.message));
    let failures: Vec<Failure> = failures.collect();
    let is_data = matches!(classified.class, Class::Data(_));
    ScannedFile {
        path: path.clone(),
        secrets: classified.objects.iter().flat_map(secrets_of).collect(),
        objects: classified.objects.into_iter().map(Arc::new).collect(),
        hidden: (is_data || !failures.is_empty()) && may_hold_secrets(&source.text),
        class: classified.class,
        failures,
        ambiguities: if classified.ambiguous {
            ambiguities(file, &source)
        } else {
            Vec::new()
        },
    }
}

fn of_variables(path: &str, variables: Node) -> ScannedFile {
    // Everything but the names: a line that sets nothing may hold the rest of a value.
    let mut secrets = Vec::new();
    let mut start = variables.mark.start;
    let mut names: Vec<Mark> = variables.entries().iter().map(|e| e.key_mark).collect();
    names.sort_unstable();
    for name in names {
        secrets.push(Mark {
            start,
            end: name.start,
            ..variables.mark
        });
        start = name.end;
    }
    secrets.push(Mark {
        start,
        ..variables.mark
    });
    let mut file = ScannedFile::skipped(path, Class::Dotenv(variables));
    file.secrets = secrets;
    file
}

/// Where an object may hold something secret. Of a Secret everything but its name tags, for a value
/// may stand in the wrong place; of other kinds what Secrets call their data, for a patch may be
/// written under any kind. With a value goes what stands between its key and it.
fn secrets_of(object: &Object) -> Vec<Mark> {
    const TAGS: [&str; 5] = ["apiVersion", "kind", "type", "immutable", "sops"];
    const METADATA: [&str; 5] = ["name", "namespace", "labels", "generateName", "uid"];
    let is_secret = object.reference.kind.eq_ignore_ascii_case("secret");
    let mut marks = Vec::new();
    for entry in object.node.entries() {
        let key = entry.key.as_str();
        let is_data = key.eq_ignore_ascii_case("stringData")
            || (key == "data" && object.reference.kind != "ConfigMap");
        if is_data || (is_secret && !TAGS.contains(&key) && key != "metadata") {
            values_of(entry, &mut marks);
        } else if key == "metadata" && is_secret {
            let metadata = entry.node.entries().iter();
            for entry in metadata.filter(|e| !METADATA.contains(&e.key.as_str())) {
                values_of(entry, &mut marks);
            }
        }
    }
    marks
}

/// Where the values below an entry stand, each from behind its key on.
fn values_of(entry: &Entry, marks: &mut Vec<Mark>) {
    match &entry.node.value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|member| values_of(member, marks));
        }
        _ => {
            let (key, value) = (entry.key_mark, entry.node.mark);
            let is_behind = key.file == value.file && key.end <= value.start;
            marks.push(Mark {
                start: if is_behind { key.end } else { value.start },
                ..value
            });
        }
    }
}

/// Whether a text that is no manifest, or cannot be read, may hold secrets anywhere.
fn may_hold_secrets(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "secret",
        "stringdata",
        "password",
        "passwd",
        "token",
        "credential",
        "apikey",
        "api-key",
        "api_key",
        "private key",
        "/data",
    ];
    // UTF-16 without its mark reads as letters with nothing between them.
    let text = text.replace('\0', "").to_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

impl ScannedFile {
    fn skipped(path: &str, class: Class) -> Self {
        ScannedFile {
            path: path.to_owned(),
            class,
            objects: Vec::new(),
            failures: Vec::new(),
            ambiguities: Vec::new(),
            secrets: Vec::new(),
            hidden: false,
        }
    }

    /// What it is, for the coverage.
    pub(crate) fn kind(&self) -> EntryKind {
        match self.class {
            Class::Manifests => EntryKind::Manifest,
            Class::Kustomization(_) | Class::BrokenKustomization => EntryKind::Kustomization,
            _ => EntryKind::Data,
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
    let content = read_plain(file, &source, Profile::Apply, name);
    if content.ambiguous {
        let stage = stagegate_core::Stage::default_stage();
        let notes = ambiguities(file, &source).into_iter();
        layout.ambiguities = notes
            .map(|ambiguity| crate::FileNote {
                path: name.to_owned(),
                stage: stage.clone(),
                ambiguity,
            })
            .collect();
    }
    layout.secrets.marks = content.objects.iter().flat_map(secrets_of).collect();
    if !content.problems.is_empty() && may_hold_secrets(&source.text) {
        layout.secrets.files.insert(name.to_owned());
    }
    layout.failures = content
        .problems
        .into_iter()
        .map(|problem| Failure::new(name, problem.mark, problem.message))
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
