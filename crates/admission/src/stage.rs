//! Which stage a request is in.

use stagegate_core::{
    Enforcement, Inventory, Labels, Object, Stage, StageRule, StageRules, selects,
};

use crate::AdmissionRequest;

/// The stage of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestStage {
    /// The stage.
    pub stage: Stage,
    /// Whether a rule names it; else it is what applies to everything else.
    pub is_named: bool,
}

impl RequestStage {
    /// The stage of a request: that of its namespace. Where several stages claim a namespace, the
    /// strictest of them; where none does, the default stage. What is in no namespace belongs to
    /// the stage for that, and a Namespace to the stage of its own name and labels, on UPDATE to
    /// the stricter of before and after.
    ///
    /// Labels of namespaces come from the inventory.
    pub fn of(
        request: &AdmissionRequest,
        rules: &StageRules,
        inventory: Option<&Inventory>,
    ) -> RequestStage {
        if rules.stages.is_empty() {
            return RequestStage {
                stage: Stage::default_stage(),
                is_named: true,
            };
        }
        let objects = [request.object.as_ref(), request.old_object.as_ref()];
        let namespaces: Vec<&Object> = objects
            .into_iter()
            .flatten()
            .filter(|o| o.reference.api_version == "v1" && o.reference.kind == "Namespace")
            .collect();
        let claimed =
            if !namespaces.is_empty() {
                strictest(namespaces.into_iter().flat_map(|namespace| {
                    claims(rules, &namespace.reference.name, Some(namespace))
                }))
            } else if request.namespace.is_empty() {
                let configured = rules.cluster_scoped.as_ref();
                let last = || rules.stages.last().map(|rule| &rule.stage);
                configured.and_then(|name| named(rules, name)).or_else(last)
            } else {
                let namespace = inventory.and_then(|inventory| {
                    inventory
                        .of_kind("", "Namespace")
                        .find(|object| object.reference.name == request.namespace)
                });
                let namespace = namespace.map(AsRef::as_ref);
                strictest(claims(rules, &request.namespace, namespace))
            };
        match claimed {
            Some(stage) => RequestStage {
                stage: stage.clone(),
                is_named: true,
            },
            None => RequestStage {
                stage: unclaimed(rules),
                is_named: false,
            },
        }
    }
}

/// The stages that claim a namespace, by its name or its labels.
fn claims<'r>(
    rules: &'r StageRules,
    name: &'r str,
    namespace: Option<&'r Object>,
) -> impl Iterator<Item = &'r Stage> {
    let claims = move |rule: &&StageRule| {
        let labels = namespace
            .map_or_else(Labels::default, Object::labels)
            .implying("kubernetes.io/metadata.name", name);
        rule.namespaces.iter().any(|glob| glob.matches(name))
            || selects(rule.selector.as_ref(), &labels)
    };
    rules.stages.iter().filter(claims).map(|rule| &rule.stage)
}

fn strictest<'r>(stages: impl Iterator<Item = &'r Stage>) -> Option<&'r Stage> {
    stages.max_by_key(|stage| stage.strictness())
}

fn named<'r>(rules: &'r StageRules, name: &str) -> Option<&'r Stage> {
    let mut stages = rules.stages.iter().map(|rule| &rule.stage);
    stages.find(|stage| stage.name == name)
}

/// What applies to namespaces that nobody claims: what is configured for them, or the strictest
/// stage, which then only warns.
fn unclaimed(rules: &StageRules) -> Stage {
    let configured = rules.default.as_ref();
    if let Some(stage) = configured.and_then(|name| named(rules, name)) {
        return stage.clone();
    }
    let strictest = strictest(rules.stages.iter().map(|rule| &rule.stage));
    let mut stage = strictest.cloned().unwrap_or_else(Stage::default_stage);
    let ceiling = stage.ceiling.unwrap_or(Enforcement::Deny);
    stage.ceiling = Some(ceiling.min(Enforcement::Warn));
    stage
}
