//! Which root belongs to which stage.

use std::collections::{BTreeMap, BTreeSet};

use stagegate_config::{Config, ConfigError};
use stagegate_core::{FileKind, Node, Object, Stage, StageName};
use stagegate_render::{join, parent};

use crate::classify::{Class, stage_of_values};
use crate::graph::Graph;
use crate::scan::Scanned;
use crate::{
    Entry, EntryKind, Fate, FileNote, JudgedFile, Layout, LayoutError, Secrets, StageLayout,
};

/// Folders whose children are stages by their own names.
const CONTAINERS: [&str; 4] = ["environments", "envs", "overlays", "clusters"];

/// The stage that a folder is in, by its path, and the part of the path that says so.
pub(crate) fn stage_of_folder(folder: &str) -> Option<(StageName, String)> {
    let segments: Vec<&str> = folder.split('/').collect();
    let up_to = |i: usize| segments[..=i].join("/");
    let children: Vec<usize> = (1..segments.len())
        .filter(|&i| CONTAINERS.contains(&segments[i - 1]))
        .collect();
    // A known name says more than any other: `clusters/eu-1/overlays/prod` is prod.
    let unknown = StageName::any("").order;
    let known_child = children
        .iter()
        .find(|&&i| StageName::any(segments[i]).order != unknown);
    if let Some(&i) = known_child.or(children.first()) {
        return Some((StageName::any(segments[i]), up_to(i)));
    }
    let last = (0..segments.len())
        .rev()
        .find_map(|i| Some((StageName::known(segments[i])?, i)));
    last.map(|(name, i)| (name, up_to(i)))
}

/// What a plain file is deployed with: the folder of its stage, else its own.
pub(crate) fn root_of(folder: &str) -> String {
    stage_of_folder(folder).map_or_else(|| folder.to_owned(), |(_, place)| place)
}

/// Collects what belongs to which stage.
struct Stages<'c> {
    config: &'c Config,
    by_name: BTreeMap<String, StageLayout>,
    errors: Vec<ConfigError>,
}

impl Stages<'_> {
    /// The stage of a root: a plain file or the folder of a kustomization.
    fn of(&mut self, path: &str, folder: &str) -> &mut StageLayout {
        let stage = self.stage_of(path, folder);
        let place = if stage.name == Stage::SHARED {
            folder.to_owned()
        } else {
            root_of(folder)
        };
        let layout = self
            .by_name
            .entry(stage.name.clone())
            .or_insert_with(|| empty(stage));
        // Most files follow one of the same place.
        if layout.paths.last() != Some(&place) {
            layout.paths.push(place);
        }
        layout
    }

    /// The stage that a file belongs to.
    fn stage_of(&mut self, path: &str, folder: &str) -> Stage {
        if self.config.stages.is_empty() {
            stage_of_folder(folder).map_or_else(Stage::shared, |(name, _)| Stage::named(name))
        } else {
            self.configured(path).unwrap_or_else(Stage::shared)
        }
    }

    fn configured(&mut self, path: &str) -> Option<Stage> {
        let mut claims = self
            .config
            .stages
            .iter()
            .flat_map(|s| s.paths.iter().map(move |glob| (s, glob)))
            .filter(|(_, glob)| glob.matches(path));
        let (first, first_glob) = claims.next()?;
        if let Some((second, glob)) = claims.find(|(s, _)| s.stage.name != first.stage.name) {
            let mark = glob.mark.max(first_glob.mark);
            if !self.errors.iter().any(|e| e.mark == mark) {
                self.errors.push(ConfigError {
                    mark,
                    message: format!(
                        "the stages {} and {} both claim {path}",
                        first.stage.name, second.stage.name
                    ),
                    help: Some(
                        "a file belongs to one stage: make one of the globs narrower".to_owned(),
                    ),
                });
            }
        }
        Some(first.stage.clone())
    }
}

fn empty(stage: Stage) -> StageLayout {
    StageLayout {
        stage,
        paths: Vec::new(),
        objects: Vec::new(),
        kustomizations: Vec::new(),
    }
}

fn is_secret(object: &Object) -> bool {
    object.reference.kind == "Secret" && object.reference.group().is_empty()
}

/// The folders that objects of Flux name. Of a path with a variable, the part before it.
fn flux_folders(scanned: &Scanned) -> Vec<String> {
    let objects = scanned.files.iter().flat_map(|file| &file.objects);
    let kustomizations = objects.filter(|object| {
        object.reference.kind == "Kustomization"
            && object.reference.group() == "kustomize.toolkit.fluxcd.io"
    });
    let folders: BTreeSet<String> = kustomizations
        .map(|object| {
            let path = object.node.path(&["spec", "path"]).and_then(Node::as_str);
            let path = path.unwrap_or(".").trim_start_matches('/');
            match path.split_once("${") {
                Some((before, _)) => join(".", parent(before)),
                None => join(".", path),
            }
        })
        .collect();
    folders.into_iter().collect()
}

pub(crate) fn assign(
    scanned: Scanned,
    graph: Graph,
    config: &Config,
) -> Result<Layout, LayoutError> {
    let mut stages = Stages {
        config,
        by_name: BTreeMap::new(),
        errors: Vec::new(),
    };
    for stage in &config.stages {
        stages
            .by_name
            .insert(stage.stage.name.clone(), empty(stage.stage.clone()));
    }
    let mut layout = Layout::default();
    let mut entry = |path: String, kind, fate| layout.entries.push(Entry { path, kind, fate });

    let declared = |path: &str| {
        let unrendered = config.unrendered.iter();
        unrendered
            .filter(|u| u.paths.iter().any(|glob| glob.matches(path)))
            .map(|u| u.reason.clone())
            .next()
    };
    layout.flux = flux_folders(&scanned);
    let mut root_stages: BTreeMap<String, String> = BTreeMap::new();
    for root in &graph.roots {
        let path = graph
            .folders
            .get(root)
            .cloned()
            .unwrap_or_else(|| join(root, "kustomization.yaml"));
        if declared(&path).is_some() {
            continue;
        }
        let stage = stages.of(&path, root);
        stage.kustomizations.push(root.clone());
        root_stages.insert(path, stage.stage.name.clone());
    }
    for chart in &scanned.charts {
        let reason = "a Helm chart; charts are not rendered by this version of stagegate";
        entry(
            chart.clone(),
            EntryKind::Chart,
            Fate::Skipped {
                reason: reason.to_owned(),
            },
        );
    }

    let mut failures = Vec::new();
    let mut files = Vec::new();
    let mut ambiguities = Vec::new();
    let mut unread = Vec::new();
    let mut secrets = Secrets::default();
    for file in scanned.files {
        secrets.marks.extend(&file.secrets);
        if file.hidden {
            secrets.files.insert(file.path.clone());
        }
        if let Class::Kustomization(kustomization) = &file.class {
            let folder = parent(&file.path);
            let files = kustomization
                .secret_files
                .iter()
                .map(|path| join(folder, path));
            secrets.files.extend(files);
        }
        let kind = file.kind();
        let skipped = |reason: &str| Fate::Skipped {
            reason: reason.to_owned(),
        };
        let folder = parent(&file.path).to_owned();
        let used_by = graph
            .used_by
            .get(&file.path)
            .or_else(|| graph.used_by.get(&folder));
        let is_declared = declared(&file.path);
        if is_declared.is_none() {
            for ambiguity in file.ambiguities {
                ambiguities.push(FileNote {
                    path: file.path.clone(),
                    stage: stages.stage_of(&file.path, &folder),
                    ambiguity,
                });
            }
        }
        let mut judged = |kind, content| {
            files.push(JudgedFile {
                path: file.path.clone(),
                stage: stages.stage_of(&file.path, &folder),
                kind,
                content,
            });
        };
        let passed_over = is_declared.filter(|_| !graph.used_by.contains_key(&file.path));
        let is_passed_over = passed_over.is_some();
        let fate = match file.class {
            _ if is_passed_over => Fate::Declared {
                reason: passed_over.unwrap_or_default(),
            },
            Class::Dotenv(variables) => {
                judged(FileKind::Dotenv, variables);
                // No manifest, chart or kustomization: nothing for the coverage.
                continue;
            }
            Class::Pipeline(documents, reason) => {
                for document in documents {
                    judged(FileKind::Pipeline, document);
                }
                skipped(&reason)
            }
            Class::ChartPart { chart } => {
                if let Some(name) = stage_of_values(&file.path).and_then(StageName::known)
                    && config.stages.is_empty()
                    && !graph.root_only
                {
                    let stage = Stage::named(name);
                    let values = stages
                        .by_name
                        .entry(stage.name.clone())
                        .or_insert_with(|| empty(stage));
                    values.paths.push(file.path.clone());
                }
                skipped(&format!("part of the chart {chart}"))
            }
            Class::Kustomization(kustomization) => match root_stages.get(&file.path) {
                Some(stage) => Fate::Judged {
                    stage: stage.clone(),
                },
                None => match graph.used_by.get(&folder) {
                    Some(by) => Fate::Referenced { by: by.clone() },
                    None if kustomization.component => {
                        skipped("a component that no kustomization uses")
                    }
                    None => skipped("not used by the kustomization of the linted folder"),
                },
            },
            Class::BrokenKustomization | Class::Broken => Fate::Unrendered,
            Class::Data(reason) => match graph.used_by.get(&file.path) {
                Some(by) => Fate::Referenced { by: by.clone() },
                None => skipped(&reason),
            },
            Class::Manifests => match (used_by, graph.folders.get(&folder)) {
                _ if graph.used_by.contains_key(&file.path) => Fate::Referenced {
                    by: graph.used_by[&file.path].clone(),
                },
                (_, Some(kustomization)) => {
                    for object in file.objects.iter().filter(|o| is_secret(o)) {
                        judged(FileKind::Undeployed, object.node.clone());
                    }
                    skipped(&format!("not named by {kustomization}, so not deployed"))
                }
                _ if graph.root_only => {
                    skipped("not used by the kustomization of the linted folder")
                }
                _ => {
                    let stage = stages.of(&file.path, &folder);
                    stage.objects.extend(file.objects);
                    Fate::Judged {
                        stage: stage.stage.name.clone(),
                    }
                }
            },
        };
        // A folder that is not looked at has no say in what is wrong.
        let outside = graph.root_only
            && matches!(&fate, Fate::Skipped { .. } | Fate::Unrendered)
            && !graph.used_by.contains_key(&file.path)
            && folder != ".";
        if !outside && !is_passed_over {
            if !file.failures.is_empty() {
                let stage = stages.stage_of(&file.path, &folder);
                unread.push((stage.name, file.path.clone()));
            }
            failures.extend(file.failures);
        }
        entry(file.path, kind, fate);
    }
    layout.failures = failures;
    layout.files = files;
    layout.ambiguities = ambiguities;
    layout.secrets = secrets;
    layout.unread = unread;
    if !stages.errors.is_empty() {
        return Err(LayoutError::Config(stages.errors));
    }
    finish(&mut layout, stages.by_name, config, graph.root_only);
    Ok(layout)
}

/// Names the stages, sorts them, and makes their paths short.
fn finish(
    layout: &mut Layout,
    by_name: BTreeMap<String, StageLayout>,
    config: &Config,
    root_only: bool,
) {
    layout.stages = by_name.into_values().collect();
    let alone = layout.stages.len() == 1 && layout.stages[0].stage.name == Stage::SHARED;
    if config.stages.is_empty() && (alone || root_only) {
        for stage in &mut layout.stages {
            stage.stage = Stage::default_stage();
            stage.paths = vec![".".to_owned()];
        }
        let of_files = layout.files.iter_mut().map(|file| &mut file.stage);
        let of_notes = layout.ambiguities.iter_mut().map(|note| &mut note.stage);
        for stage in of_files.chain(of_notes) {
            *stage = Stage::default_stage();
        }
        for (stage, _) in &mut layout.unread {
            Stage::DEFAULT.clone_into(stage);
        }
        for entry in &mut layout.entries {
            if let Fate::Judged { stage } = &mut entry.fate {
                Stage::DEFAULT.clone_into(stage);
            }
        }
    }
    layout
        .stages
        .sort_by(|a, b| a.stage.promotion_order(&b.stage));
    for stage in &mut layout.stages {
        let all: BTreeSet<String> = std::mem::take(&mut stage.paths).into_iter().collect();
        let inside_another = |path: &str| {
            let mut folder = path;
            while folder != "." {
                folder = parent(folder);
                if all.contains(folder) {
                    return true;
                }
            }
            false
        };
        stage.paths = all
            .iter()
            .filter(|path| !inside_another(path))
            .cloned()
            .collect();
    }
    layout
        .entries
        .sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
}
