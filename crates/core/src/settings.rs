//! What is configured, in the form that the engine takes.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Enforcement, Mark, Node, Severity};

/// The configuration that decides verdicts. Both doors build it from the same file.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The target version of Kubernetes.
    pub kubernetes_version: KubernetesVersion,
    /// By policy id, each with the place of its key.
    pub policies: BTreeMap<String, PolicySettings>,
    /// Where given, only these policies run (and those that are never switched off).
    pub only: Option<Vec<String>>,
}

/// What is configured for one policy.
#[derive(Clone, Debug, Default)]
pub struct PolicySettings {
    /// Where the policy's id stands.
    pub mark: Mark,
    /// What happens on a violation.
    pub enforcement: Option<Enforcement>,
    /// How bad a violation is.
    pub severity: Option<Severity>,
    /// Parameters for all stages; an object.
    pub parameters: Option<Node>,
    /// By stage name, what differs there.
    pub stages: BTreeMap<String, StageOverride>,
}

/// What differs in one stage.
#[derive(Clone, Debug, Default)]
pub struct StageOverride {
    /// Where the stage's name stands.
    pub mark: Mark,
    /// What happens on a violation.
    pub enforcement: Option<Enforcement>,
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
