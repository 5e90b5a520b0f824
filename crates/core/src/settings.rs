//! What is configured, in the form that the engine takes.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Enforcement, Mark, NameGlob, Node, Severity, Stage, Waiver};

/// The configuration that decides verdicts. Both doors build it from the same file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The target version of Kubernetes.
    pub kubernetes_version: KubernetesVersion,
    /// What applies where nothing is configured: the strictest of these. Empty switches everything
    /// off that is not configured.
    pub extends: Vec<SeedSet>,
    /// By policy id, each with the place of its key.
    pub policies: BTreeMap<String, PolicySettings>,
    /// Where given, only these policies run (and those that are never switched off).
    pub only: Option<Vec<String>>,
    /// Accepted findings.
    pub waivers: Vec<Waiver>,
    /// Which stage a request is in.
    pub stages: StageRules,
    /// Full names of users whose requests are warned about at most: they restore what was lost.
    pub restore_writers: Vec<String>,
    /// The account of the controller of Argo Rollouts.
    pub rollouts_controller: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            kubernetes_version: KubernetesVersion::default(),
            extends: vec![SeedSet::Recommended],
            policies: BTreeMap::new(),
            only: None,
            waivers: Vec::new(),
            stages: StageRules::default(),
            restore_writers: Vec::new(),
            rollouts_controller: None,
        }
    }
}

/// A set of choices to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeedSet {
    /// Nothing runs that is not configured.
    None,
    /// What each policy recommends.
    Recommended,
    /// The same, and Pod Security's baseline level everywhere.
    Baseline,
    /// The same, and Pod Security's restricted level everywhere.
    Restricted,
    /// What each policy recommends to those who want no exceptions.
    Strict,
}

impl SeedSet {
    /// What a set makes of a policy in a stage of this tier.
    pub fn enforcement(self, meta: &crate::Meta, tier: crate::Tier) -> Enforcement {
        let recommended = meta.default_enforcement(tier);
        match self {
            SeedSet::None => Enforcement::Off,
            SeedSet::Recommended | SeedSet::Baseline | SeedSet::Restricted => recommended,
            SeedSet::Strict => meta.strict.map_or(recommended, |e| e.max(recommended)),
        }
    }
}

/// Which stage a request is in. Source: the configured stages.
#[derive(Clone, Debug, Default)]
pub struct StageRules {
    /// In the order of promotion.
    pub stages: Vec<StageRule>,
    /// The stage of namespaces that no rule names.
    pub default: Option<String>,
    /// The stage of objects that are in no namespace.
    pub cluster_scoped: Option<String>,
}

impl StageRules {
    /// The stages in which requests are judged: `whole` where the whole cluster is one stage, else
    /// those that there are, and where there are none, the default one.
    pub fn judged_in(&self, whole: Option<&Stage>) -> Vec<Stage> {
        match whole {
            Some(stage) => vec![stage.clone()],
            None if self.stages.is_empty() => vec![Stage::default_stage()],
            None => self.stages.iter().map(|rule| rule.stage.clone()).collect(),
        }
    }
}

/// A stage and the namespaces that belong to it.
#[derive(Clone, Debug)]
pub struct StageRule {
    /// The stage.
    pub stage: Stage,
    /// The names of its namespaces.
    pub namespaces: Vec<NameGlob>,
    /// The labels of its namespaces, as a label selector.
    pub selector: Option<Node>,
}

/// What is configured for one policy.
#[derive(Clone, Debug, Default)]
pub struct PolicySettings {
    /// Where the policy's id stands.
    pub mark: Mark,
    /// What happens on a violation.
    pub enforcement: Option<Enforcement>,
    /// What happens on a violation at admission.
    pub admission: Option<Enforcement>,
    /// How bad a violation is.
    pub severity: Option<Severity>,
    /// Parameters for all stages; an object.
    pub parameters: Option<Node>,
    /// By stage name, what differs there.
    pub stages: BTreeMap<String, StageOverride>,
    /// What happens where the policy fails.
    pub on_error: Option<Enforcement>,
    /// What happens where the time runs out before it has judged.
    pub on_timeout: Option<Enforcement>,
    /// What happens where there are more requests than can be judged.
    pub on_overload: Option<Enforcement>,
    /// What happens where what it looks at is too old.
    pub on_stale: Option<Enforcement>,
}

/// What differs in one stage.
#[derive(Clone, Debug, Default)]
pub struct StageOverride {
    /// Where the stage's name stands.
    pub mark: Mark,
    /// What happens on a violation.
    pub enforcement: Option<Enforcement>,
    /// What happens on a violation at admission.
    pub admission: Option<Enforcement>,
    /// How bad a violation is.
    pub severity: Option<Severity>,
    /// Parameters, each replacing the one for all stages; an object.
    pub parameters: Option<Node>,
}

/// A minor version of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion {
    /// `1` in 1.34.
    pub major: u32,
    /// `34` in 1.34.
    pub minor: u32,
}

impl Default for KubernetesVersion {
    fn default() -> Self {
        KubernetesVersion {
            major: 1,
            minor: 34,
        }
    }
}

impl KubernetesVersion {
    /// Reads `1.34`, `v1.34`, `1.34.2` and what clusters append: `v1.34.2+k3s1`, `1.34-eks`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split(['+', '-']).next()?;
        let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
        let version = KubernetesVersion {
            major: parts.next()??,
            minor: parts.next()??,
        };
        (parts.clone().count() <= 1 && parts.all(|p| p.is_some())).then_some(version)
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_every_common_form() {
        let version = Some(KubernetesVersion {
            major: 1,
            minor: 34,
        });
        for text in ["1.34", "v1.34", "1.34.2", "v1.34.2+k3s1", "1.34-eks-1"] {
            assert_eq!(KubernetesVersion::parse(text), version, "{text}");
        }
        for text in ["", "1", "latest", "1.x", "1.34.2.1", "1.34.x"] {
            assert_eq!(KubernetesVersion::parse(text), None, "{text}");
        }
    }
}
