//! Stages of promotion: their names, their order, what production means.

use std::cmp::Ordering;

use crate::Enforcement;

/// One step of promotion, with its own enforcement and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name, aliases folded: `production` is `prod`.
    pub name: String,
    /// Whether "in prod" is meant by it.
    pub tier: Tier,
    /// Position in the order of promotion; the last one wins where one stage must speak for many.
    pub order: u32,
    /// A ceiling for the enforcement of every policy in this stage.
    pub ceiling: Option<Enforcement>,
    /// Which policies an annotation on an object may waive; where nothing is configured, all, and
    /// none in production.
    pub annotation_waivers: Option<AnnotationWaivers>,
}

/// Which policies an annotation on an object may waive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnotationWaivers {
    /// All that can be waived by annotation at all.
    All,
    /// None.
    None,
    /// These.
    Only(Vec<String>),
}

/// What a stage is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// Anything before production.
    #[default]
    Other,
    /// What policies mean by "in prod".
    Production,
}

/// A name that says that something is a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageName {
    /// The name with aliases folded.
    pub name: String,
    /// The tier that the name implies.
    pub tier: Tier,
    /// The place in the order of promotion that the name implies.
    pub order: u32,
}

/// Known names in their order of promotion; the first of a row is what the others fold to.
const KNOWN: [&[&str]; 7] = [
    &["preview"],
    &["dev", "development"],
    &["test"],
    &["qa"],
    &["uat"],
    &["staging", "stage", "stg", "preprod"],
    &["prod", "production", "live"],
];

/// The order of roots that belong to no stage: before all others.
const ORDER_SHARED: u32 = 0;
/// The order of stages whose names say nothing about promotion.
const ORDER_UNKNOWN: u32 = 10;
/// The order of the first known name; the steps between them leave room.
const ORDER_KNOWN: u32 = 20;

impl StageName {
    /// The stage that a name stands for wherever it is found: a known name, an alias of one, or
    /// a preview environment (`pr-42`).
    pub fn known(name: &str) -> Option<StageName> {
        let lower = name.to_ascii_lowercase();
        if let Some(rest) = lower.strip_prefix("pr-")
            && !rest.is_empty()
        {
            return Some(StageName {
                name: lower,
                tier: Tier::Other,
                order: ORDER_KNOWN,
            });
        }
        KNOWN
            .iter()
            .zip(0u32..)
            .find(|(aliases, _)| aliases.contains(&lower.as_str()))
            .map(|(aliases, row)| StageName {
                name: aliases[0].to_owned(),
                tier: if aliases[0] == "prod" {
                    Tier::Production
                } else {
                    Tier::Other
                },
                order: ORDER_KNOWN + row * 10,
            })
    }

    /// The stage that a name stands for where every name is a stage, such as a folder in
    /// `environments/`: a known name; a known name with more behind it (`prod-eu` is a stage of
    /// its own with the tier and order of `prod`); or any other name.
    pub fn any(name: &str) -> StageName {
        if let Some(known) = Self::known(name) {
            return known;
        }
        let prefix = name.split(['-', '_', '.']).next().and_then(Self::known);
        match prefix {
            Some(known) => StageName {
                name: name.to_owned(),
                ..known
            },
            None => StageName {
                name: name.to_owned(),
                tier: Tier::Other,
                order: ORDER_UNKNOWN,
            },
        }
    }
}

impl Stage {
    /// The stage of roots that belong to none, beside others.
    pub const SHARED: &'static str = "shared";
    /// The only stage of a tree that has none.
    pub const DEFAULT: &'static str = "default";

    /// The stage of a name, without a ceiling.
    pub fn named(name: StageName) -> Stage {
        Stage {
            name: name.name,
            tier: name.tier,
            order: name.order,
            ceiling: None,
            annotation_waivers: None,
        }
    }

    /// The stage of roots that belong to none.
    pub fn shared() -> Stage {
        Stage {
            name: Self::SHARED.to_owned(),
            tier: Tier::Other,
            order: ORDER_SHARED,
            ceiling: None,
            annotation_waivers: None,
        }
    }

    /// The only stage of a tree that has none.
    pub fn default_stage() -> Stage {
        Stage {
            name: Self::DEFAULT.to_owned(),
            tier: Tier::Other,
            order: ORDER_UNKNOWN,
            ceiling: None,
            annotation_waivers: None,
        }
    }

    /// Whether an annotation may waive a policy in this stage.
    pub fn lets_annotation_waive(&self, policy: &str) -> bool {
        match &self.annotation_waivers {
            Some(AnnotationWaivers::All) => true,
            Some(AnnotationWaivers::None) => false,
            Some(AnnotationWaivers::Only(ids)) => ids.iter().any(|id| id == policy),
            None => self.tier != Tier::Production,
        }
    }

    /// How strict a stage is beside others: production before anything else, then no ceiling before
    /// a low one, then the order of promotion.
    pub fn strictness(&self) -> (bool, Enforcement, u32) {
        (
            self.tier == Tier::Production,
            self.ceiling.unwrap_or(Enforcement::Deny),
            self.order,
        )
    }

    /// The order of promotion; stages of one step in the order of their names.
    pub fn promotion_order(&self, other: &Stage) -> Ordering {
        self.order
            .cmp(&other.order)
            .then_with(|| self.name.cmp(&other.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_fold_to_the_first_name() {
        for (alias, name) in [
            ("development", "dev"),
            ("stage", "staging"),
            ("stg", "staging"),
            ("preprod", "staging"),
            ("production", "prod"),
            ("live", "prod"),
            ("PROD", "prod"),
        ] {
            assert_eq!(
                StageName::known(alias).map(|s| s.name).as_deref(),
                Some(name)
            );
        }
        for no_stage in [
            "apps",
            "productions",
            "pr-",
            "base",
            "prod-eu",
            "testing",
            "demo",
        ] {
            assert_eq!(StageName::known(no_stage), None, "{no_stage}");
        }
        assert_eq!(
            StageName::known("pr-42").map(|s| s.name).as_deref(),
            Some("pr-42")
        );
    }

    #[test]
    fn prod_eu_is_its_own_stage_with_the_tier_and_order_of_prod() {
        let eu = StageName::any("prod-eu");
        let prod = StageName::any("production");
        assert_eq!(
            (eu.name.as_str(), eu.tier, eu.order),
            ("prod-eu", prod.tier, prod.order)
        );
        assert_eq!(StageName::any("cluster-7").tier, Tier::Other);
    }

    #[test]
    fn promotion_runs_from_preview_to_prod() {
        let mut names = ["prod", "dev", "uat", "pr-1", "staging", "qa", "test", "eu"];
        names.sort_by_key(|n| StageName::any(n).order);
        assert_eq!(
            names,
            ["eu", "pr-1", "dev", "test", "qa", "uat", "staging", "prod"]
        );
    }
}
