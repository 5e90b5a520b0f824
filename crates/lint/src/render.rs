//! Brings every stage to objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;
use stagegate_core::{Gap, Object, Stage};
use stagegate_render::{Failure, KUSTOMIZATION_FILE_NAMES, REFUSED, Renderer, Tree, join};
use stagegate_repo::{Entry, EntryKind, Fate, FileNote, JudgedFile, Layout, Secrets};

use crate::external::{self, ExternalSource};
use crate::redact::scrub;
use crate::{Progress, Step};

/// A repository whose stages are rendered.
#[derive(Debug, Default)]
pub struct Repository {
    /// In the order of promotion.
    pub stages: Vec<RenderedStage>,
    /// What every stage's policies see besides its own objects: those of the stage `shared`.
    pub shared: Vec<Arc<Object>>,
    /// What became of every file.
    pub entries: Vec<Entry>,
    /// What could not be read or rendered, each once, sorted by path.
    pub failures: Vec<Failure>,
    /// Files that are no manifests and are judged all the same.
    pub files: Vec<JudgedFile>,
    /// What programs read differently.
    pub ambiguities: Vec<FileNote>,
    /// What is deployed and lies outside of the repository.
    pub external: Vec<ExternalSource>,
    /// Where secrets stand.
    pub secrets: Secrets,
    /// Everything was asked for: no stage was left out.
    pub complete: bool,
}

/// A stage as the cluster will get it.
#[derive(Debug)]
pub struct RenderedStage {
    /// The stage.
    pub stage: Stage,
    /// The folders and files that it was taken from.
    pub paths: Vec<String>,
    /// Its objects: those of plain manifests by path, then those of kustomizations by folder.
    pub objects: Vec<Arc<Object>>,
    /// What belongs to it and could not be looked into.
    pub gaps: Vec<Gap>,
}

/// Renders the stages of a repository, only those named in `only` where that is given.
pub fn render(
    layout: Layout,
    tree: &Tree,
    renderer: &dyn Renderer,
    only: &[String],
    self_urls: &[String],
    progress: Progress<'_>,
) -> Repository {
    let mut repository = Repository {
        stages: Vec::new(),
        shared: Vec::new(),
        entries: layout.entries,
        failures: layout.failures,
        files: layout.files,
        ambiguities: layout.ambiguities,
        external: Vec::new(),
        secrets: layout.secrets,
        complete: only.is_empty(),
    };
    let layout_failures: BTreeSet<String> =
        repository.failures.iter().map(|f| f.path.clone()).collect();
    let mut broken = layout_failures.clone();
    let chosen = |name: &str| only.is_empty() || only.iter().any(|o| o == name);
    let stages: Vec<_> = layout
        .stages
        .into_iter()
        .filter(|s| chosen(&s.stage.name) || s.stage.name == Stage::SHARED)
        .collect();

    let roots: Vec<(usize, &str)> = stages
        .iter()
        .enumerate()
        .flat_map(|(i, s)| s.kustomizations.iter().map(move |root| (i, root.as_str())))
        .collect();
    progress(Step::ToRender(roots.len()));
    let rendered: Vec<_> = roots
        .par_iter()
        .map(|(stage, root)| {
            let rendering = renderer.render(root, tree);
            progress(Step::Rendered);
            (*stage, *root, rendering)
        })
        .collect();

    let mut objects: Vec<Vec<Arc<Object>>> = stages.iter().map(|_| Vec::new()).collect();
    let mut remote_only = BTreeSet::new();
    let mut gaps: Vec<Vec<Gap>> = stages.iter().map(|_| Vec::new()).collect();
    for (stage, root, rendering) in rendered {
        let is_nothing = rendering.objects.is_empty();
        objects[stage].extend(rendering.objects.into_iter().map(Arc::new));
        if rendering.failures.is_empty() {
            continue;
        }
        let (remote, local): (Vec<Failure>, Vec<Failure>) =
            rendering.failures.into_iter().partition(|f| f.external);
        let of_stage = &stages[stage].stage;
        let remote = remote.into_iter();
        let remote: Vec<ExternalSource> = remote
            .map(|failure| ExternalSource::of_failure(of_stage, failure))
            .collect();
        if is_nothing {
            gaps[stage].push(Gap {
                namespace: None,
                what: format!("the kustomization in {root}"),
            });
            let why = if local.is_empty() {
                &mut remote_only
            } else {
                &mut broken
            };
            why.insert(root.to_owned());
        } else {
            gaps[stage].extend(remote.iter().map(ExternalSource::gap));
        }
        repository.external.extend(remote);
        repository.failures.extend(local);
    }
    for ((stage, rendered), gaps) in stages.into_iter().zip(objects).zip(gaps) {
        let mut objects = stage.objects;
        objects.extend(rendered);
        repository.stages.push(RenderedStage {
            stage: stage.stage,
            paths: stage.paths,
            objects,
            gaps,
        });
    }
    let unread = layout.unread;
    for stage in &mut repository.stages {
        let of_stage = unread.iter().filter(|(name, _)| *name == stage.stage.name);
        stage.gaps.extend(of_stage.map(|(_, path)| Gap {
            namespace: None,
            what: path.clone(),
        }));
        let found = external::sources(&stage.stage, &stage.objects, tree, self_urls);
        stage.gaps.extend(found.iter().map(ExternalSource::gap));
        stage.gaps.sort();
        repository.external.extend(found);
    }
    for failure in &mut repository.failures {
        failure.message = scrub(&failure.message).into_owned();
    }
    if repository
        .failures
        .iter()
        .any(|f| f.message.starts_with(REFUSED))
    {
        let words = secret_words(&repository.secrets, tree);
        for failure in &mut repository.failures {
            hide_secrets(failure, &words);
        }
    }
    // A file that does not parse is told by itself, with its line; kustomize's word for it is not
    // told again for every overlay.
    let unparsed: Vec<&str> = layout_failures
        .iter()
        .filter_map(|path| path.rsplit('/').next())
        .filter(|name| !KUSTOMIZATION_FILE_NAMES.contains(name))
        .collect();
    repository.failures.retain(|failure| {
        let repeats =
            |name: &&str| failure.message.starts_with(REFUSED) && failure.message.contains(*name);
        !unparsed.iter().any(repeats)
    });
    // Overlays of one base fail for one reason.
    let mut seen = BTreeSet::new();
    repository
        .failures
        .retain(|f| seen.insert((f.path.clone(), f.mark, f.message.clone())));
    repository
        .failures
        .sort_by(|a, b| (&a.path, a.mark).cmp(&(&b.path, b.mark)));
    if let Some(shared) = repository
        .stages
        .iter()
        .find(|s| s.stage.name == Stage::SHARED)
    {
        repository.shared = shared.objects.clone();
    }
    // Rendered as neighbours of the chosen stages, not to be judged.
    repository.stages.retain(|s| chosen(&s.stage.name));
    repository.files.retain(|f| chosen(&f.stage.name));
    repository.ambiguities.retain(|a| chosen(&a.stage.name));
    repository.external.retain(|e| chosen(&e.stage.name));
    for entry in &mut repository.entries {
        let root = join(stagegate_render::parent(&entry.path), ".");
        let is_root =
            entry.kind == EntryKind::Kustomization && matches!(entry.fate, Fate::Judged { .. });
        if is_root && broken.contains(&root) {
            entry.fate = Fate::Unrendered;
        } else if is_root && remote_only.contains(&root) {
            entry.fate = Fate::External;
        }
    }
    repository
}

/// A renderer may repeat what it was given, in other words and with its own line breaks: every word
/// of its message that stands in a secret, or in a file that may hold some, is hidden.
fn hide_secrets(failure: &mut Failure, words: &BTreeSet<String>) {
    if !failure.message.starts_with(REFUSED) {
        return;
    }
    let mut hidden = String::with_capacity(failure.message.len());
    let mut rest = failure.message.as_str();
    while let Some(start) = rest.find(is_of_word) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c| !is_of_word(c)).unwrap_or(word.len());
        hidden.push_str(before);
        let (word, behind) = word.split_at(end);
        let is_secret = words.iter().any(|secret| word.contains(secret.as_str()));
        hidden.push_str(if is_secret { "…" } else { word });
        rest = behind;
    }
    hidden.push_str(rest);
    failure.message = hidden;
}

/// Every word that stands where a secret may stand.
fn secret_words(secrets: &Secrets, tree: &Tree) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut add = |text: &str| {
        let found = text.split(|c| !is_of_word(c));
        // Shorter words stand everywhere; these every patch holds.
        let tells = |word: &&str| word.len() >= 4 && !HARMLESS.contains(word);
        words.extend(found.filter(tells).map(str::to_owned));
    };
    for mark in &secrets.marks {
        let source = tree.sources().get(mark.file);
        let range = mark.start as usize..mark.end as usize;
        add(source
            .as_ref()
            .and_then(|s| s.text.get(range))
            .unwrap_or_default());
    }
    for path in &secrets.files {
        // What kustomize read and nobody else did is read for this.
        if let Ok((_, source)) = tree.read(path) {
            add(&source.text);
        }
    }
    words
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(
            c,
            '+' | '/' | '=' | '_' | '-' | '.' | '!' | '$' | '%' | '&' | '#' | '@'
        )
}

/// Words of patches and manifests that are no secret, and without which an error says nothing.
const HARMLESS: [&str; 22] = [
    "apiVersion",
    "config",
    "data",
    "file",
    "files",
    "kind",
    "kubernetes",
    "kustomization.yaml",
    "labels",
    "line",
    "metadata",
    "name",
    "namespace",
    "patch",
    "patches",
    "path",
    "replace",
    "resources",
    "Secret",
    "secretGenerator",
    "stringData",
    "value",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_renderer_repeats_of_a_secret_is_hidden() {
        let words = ["hunter2hunter", "aHVudGVyMg=="].map(str::to_owned).into();
        let mut failure = Failure::new(
            "kustomization.yaml",
            stagegate_core::Mark::NONE,
            format!(
                "{REFUSED}: unable to parse [patch: \"- op: add\\n  value: aHVudGVyMg==\"]: \
                 node contents: password:\\nhunter2hunter"
            ),
        );
        hide_secrets(&mut failure, &words);
        assert_eq!(
            failure.message,
            format!(
                "{REFUSED}: unable to parse [patch: \"- op: add\\n  value: …\"]: \
                 node contents: password:\\…"
            )
        );
    }
}
