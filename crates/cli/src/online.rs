//! What the online door begins with, whether it serves or replays.

use std::path::{Path, PathBuf};

use stagegate_config::Config;
use stagegate_core::{Door, Engine, Stage, StageName};
use stagegate_render::{Failure, Tree};

use crate::args::Brought;
use crate::engine;
use crate::error::Error;
use crate::workspace::{Configured, configure};

/// Policies, configured, and the stage that the whole cluster is, if it is one.
pub(crate) struct Online {
    pub(crate) engine: Engine,
    pub(crate) stage: Option<Stage>,
    /// Policies that should judge and cannot.
    pub(crate) not_judged: Vec<Failure>,
}

/// What was typed of it.
#[derive(Clone)]
pub(crate) struct Typed {
    pub(crate) config: Option<PathBuf>,
    pub(crate) brought: Brought,
    pub(crate) stage: Option<String>,
}

impl Online {
    /// Reads the configuration and the policies.
    pub(crate) fn load(typed: &Typed) -> Result<Online, Error> {
        let root = Path::new(".");
        let tree = Tree::new(root).map_err(|source| Error::Read {
            path: root.to_owned(),
            source,
        })?;
        let Configured { config, policies } =
            configure(&tree, typed.config.as_deref(), &typed.brought)?;
        let stage = typed.stage.as_ref().map(|name| stage(name, &config));
        let has_selector = |s: &stagegate_config::StageConfig| s.namespace_selector.is_some();
        if stage.is_none() && config.stages.iter().any(has_selector) {
            return Err(Error::Usage(
                "`namespaceSelector` asks for labels of namespaces, which only a cluster knows; name the \
                 stage with --stage, or select by `namespaces`"
                    .to_owned(),
            ));
        }
        let (engine, unsupported) = policies.engine(config.settings.clone())?;
        let stages = engine.settings().stages.judged_in(stage.as_ref());
        let not_judged = engine::not_judged(
            &engine,
            &unsupported,
            stages.iter(),
            Door::Admission,
            tree.sources(),
        );
        Ok(Online {
            engine,
            stage,
            not_judged,
        })
    }

    /// Stages that may both claim a namespace, in words. The stricter wins.
    pub(crate) fn overlaps(&self) -> Vec<String> {
        let rules = &self.engine.settings().stages.stages;
        let mut overlaps = Vec::new();
        for (i, a) in rules.iter().enumerate() {
            for b in &rules[i + 1..] {
                let both = a.namespaces.iter().find_map(|own| {
                    let other = b.namespaces.iter().find(|other| own.overlaps(other))?;
                    Some((own.pattern(), other.pattern()))
                });
                if let Some((own, other)) = both {
                    let stricter = if a.stage.strictness() > b.stage.strictness() {
                        a
                    } else {
                        b
                    };
                    overlaps.push(format!(
                        "the stages {} ({own}) and {} ({other}) may claim one namespace; it is {} then, \
                         the stricter one",
                        a.stage.name, b.stage.name, stricter.stage.name
                    ));
                }
            }
        }
        overlaps
    }
}

/// The stage that `--stage` means: a configured one, or what its name says.
fn stage(name: &str, config: &Config) -> Stage {
    let named = StageName::any(name);
    let configured = config.stages.iter().map(|s| &s.stage);
    configured
        .into_iter()
        .find(|stage| stage.name == named.name)
        .cloned()
        .unwrap_or_else(|| Stage::named(named))
}
