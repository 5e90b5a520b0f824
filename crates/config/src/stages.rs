//! `stages:` of the configuration.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use stagegate_core::{Mark, Node, Stage, StageName, Tier};

use crate::reader::Reader;

/// A configured stage.
#[derive(Clone, Debug)]
pub struct StageConfig {
    /// The stage.
    pub stage: Stage,
    /// The files that belong to it.
    pub paths: Vec<PathGlob>,
    /// Globs of the namespaces that belong to it, for the webhook.
    pub namespaces: Vec<String>,
    /// Policies that an annotation on an object may waive.
    pub annotation_waivers: Option<Vec<String>>,
}

/// A glob over paths relative to the linted folder. It names a file, or a folder with all that is
/// in it.
#[derive(Clone, Debug)]
pub struct PathGlob {
    /// As it was written.
    pub pattern: String,
    /// Where it was written.
    pub mark: Mark,
    globs: GlobSet,
}

impl PathGlob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn new(pattern: &str, mark: Mark) -> Result<PathGlob, globset::Error> {
        let trimmed = pattern.trim_start_matches("./").trim_end_matches('/');
        let glob = |text: &str| GlobBuilder::new(text).literal_separator(true).build();
        let globs = if trimmed.is_empty() || trimmed == "." {
            GlobSetBuilder::new().add(glob("**")?).build()?
        } else {
            GlobSetBuilder::new()
                .add(glob(trimmed)?)
                .add(glob(&format!("{trimmed}/**"))?)
                .build()?
        };
        Ok(PathGlob {
            pattern: pattern.to_owned(),
            mark,
            globs,
        })
    }

    /// Whether a file or folder is meant.
    pub fn matches(&self, path: &str) -> bool {
        self.globs.is_match(path)
    }
}

const KEYS: &[&str] = &[
    "name",
    "paths",
    "namespaces",
    "namespaceSelector",
    "after",
    "tier",
    "enforcement",
    "annotationWaivers",
];

pub(crate) fn read(node: &Node, reader: &mut Reader<'_>) -> Vec<StageConfig> {
    let mut stages: Vec<StageConfig> = Vec::new();
    let mut after: Vec<Option<(String, Node)>> = Vec::new();
    for item in reader.items(node, "stages") {
        let Some((stage, follows)) = read_one(item, reader) else {
            continue;
        };
        if stages.iter().any(|s| s.stage.name == stage.stage.name) {
            reader.error(
                item.get("name").unwrap_or(item),
                format!("the stage {} is configured twice", stage.stage.name),
                None,
            );
            continue;
        }
        stages.push(stage);
        after.push(follows);
    }
    order(&mut stages, &after, reader);
    stages.sort_by(|a, b| a.stage.promotion_order(&b.stage));
    stages
}

fn read_one(item: &Node, reader: &mut Reader<'_>) -> Option<(StageConfig, Option<(String, Node)>)> {
    let mut name = None;
    let mut tier = None;
    let mut ceiling = None;
    let mut after = None;
    let mut paths = Vec::new();
    let mut namespaces = Vec::new();
    let mut annotation_waivers = None;
    for field in reader.entries(item, "a stage") {
        match field.key.as_str() {
            "name" => name = reader.text(&field.node, "name").map(StageName::any),
            "paths" => {
                for (pattern, node) in reader.texts(&field.node, "paths") {
                    match PathGlob::new(pattern, node.mark) {
                        Ok(glob) => paths.push(glob),
                        Err(error) => reader.error(node, format!("not a glob: {error}"), None),
                    }
                }
            }
            "namespaces" => {
                namespaces = reader
                    .texts(&field.node, "namespaces")
                    .into_iter()
                    .map(|(text, _)| text.to_owned())
                    .collect();
            }
            // Asks about live namespaces: it means something to the webhook only.
            "namespaceSelector" => {
                reader.entries(&field.node, "namespaceSelector");
            }
            "after" => {
                after = reader
                    .text(&field.node, "after")
                    .map(|text| (StageName::any(text).name, field.node.clone()));
            }
            "tier" => match reader.text(&field.node, "tier") {
                Some("production") => tier = Some(Tier::Production),
                Some(other) => reader.error(
                    &field.node,
                    format!("tier cannot be {other:?}"),
                    Some("the only tier is `production`; leave it out elsewhere".to_owned()),
                ),
                None => {}
            },
            "enforcement" => ceiling = reader.enforcement(&field.node),
            "annotationWaivers" => {
                let ids = match field.node.as_str() {
                    Some(word @ ("all" | "none")) => vec![word.to_owned()],
                    _ => reader
                        .texts(&field.node, "annotationWaivers")
                        .into_iter()
                        .map(|(text, _)| text.to_owned())
                        .collect(),
                };
                annotation_waivers = Some(ids);
            }
            _ => reader.unknown_key(field, "a stage", KEYS),
        }
    }
    let Some(name) = name else {
        if item.get("name").is_none() {
            reader.error(item, "a stage needs a name".to_owned(), None);
        }
        return None;
    };
    let mut stage = Stage::named(name);
    stage.ceiling = ceiling;
    stage.tier = tier.unwrap_or(stage.tier);
    Some((
        StageConfig {
            stage,
            paths,
            namespaces,
            annotation_waivers,
        },
        after,
    ))
}

/// Puts every stage behind the one that it names in `after`.
fn order(stages: &mut [StageConfig], after: &[Option<(String, Node)>], reader: &mut Reader<'_>) {
    for follows in after.iter().flatten() {
        if !stages.iter().any(|s| s.stage.name == follows.0) {
            reader.error(
                &follows.1,
                format!("there is no stage {:?} to come after", follows.0),
                Some(crate::suggest(
                    &follows.0,
                    stages.iter().map(|s| s.stage.name.as_str()),
                )),
            );
        }
    }
    // Each round settles at least one more stage of a chain.
    for round in 0..=stages.len() {
        let mut changed = None;
        for (i, follows) in after.iter().enumerate() {
            let Some((name, node)) = follows else {
                continue;
            };
            let before = stages
                .iter()
                .find(|s| s.stage.name == *name)
                .map(|s| s.stage.order);
            if let Some(before) = before
                && stages[i].stage.order <= before
            {
                stages[i].stage.order = before + 1;
                changed = Some(node);
            }
        }
        match changed {
            None => return,
            Some(node) if round == stages.len() => {
                reader.error(
                    node,
                    "stages come after each other in a circle".to_owned(),
                    None,
                );
            }
            Some(_) => {}
        }
    }
}
