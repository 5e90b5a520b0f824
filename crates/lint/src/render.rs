//! Brings every stage to objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;
use stagegate_core::{Object, Stage};
use stagegate_render::{Failure, KUSTOMIZATION_FILE_NAMES, REFUSED, Renderer, Tree, join};
use stagegate_repo::{Entry, EntryKind, Fate, Layout};

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
}

/// Renders the stages of a repository, only those named in `only` where that is given.
pub fn render(
    layout: Layout,
    tree: &Tree,
    renderer: &dyn Renderer,
    only: &[String],
    progress: Progress<'_>,
) -> Repository {
    let mut repository = Repository {
        stages: Vec::new(),
        shared: Vec::new(),
        entries: layout.entries,
        failures: layout.failures,
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
            let objects = renderer.render(root, tree);
            progress(Step::Rendered);
            (*stage, *root, objects)
        })
        .collect();

    let mut objects: Vec<Vec<Arc<Object>>> = stages.iter().map(|_| Vec::new()).collect();
    for (stage, root, result) in rendered {
        match result {
            Ok(rendered) => objects[stage].extend(rendered.into_iter().map(Arc::new)),
            Err(failures) => {
                broken.insert(root.to_owned());
                repository.failures.extend(failures);
            }
        }
    }
    for (stage, rendered) in stages.into_iter().zip(objects) {
        let mut objects = stage.objects;
        objects.extend(rendered);
        repository.stages.push(RenderedStage {
            stage: stage.stage,
            paths: stage.paths,
            objects,
        });
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
    for entry in &mut repository.entries {
        let root = join(stagegate_render::parent(&entry.path), ".");
        if entry.kind == EntryKind::Kustomization
            && matches!(entry.fate, Fate::Judged { .. })
            && broken.contains(&root)
        {
            entry.fate = Fate::Unrendered;
        }
    }
    repository
}
