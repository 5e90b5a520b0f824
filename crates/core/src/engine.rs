//! The one way to a verdict.

mod run;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::{
    Derived, Door, Enforcement, GroupKind, KindPattern, Limits, Matches, Meta, Node, ObjectRef,
    Policy, Scope, Settings, Severity, Stage, Subject, Value, Verdict, WORKLOAD_KINDS, World,
};
use run::Run;

/// The policies with what is configured for them. Immutable: a changed configuration makes a new
/// engine, and a review ends with the one that it began with.
pub struct Engine {
    policies: Vec<Configured>,
    settings: Settings,
    /// Policies that take objects of the kinds that they name, by the name of the kind.
    by_kind: HashMap<String, Vec<(KindPattern, Vec<usize>)>>,
    /// Policies that take objects whatever their kind is called.
    for_all: Vec<(KindPattern, Vec<usize>)>,
}

struct Configured {
    policy: Box<dyn Policy>,
    meta: Arc<Meta>,
    severity: Severity,
    parameters: Given,
    stages: BTreeMap<String, InStage>,
}

/// A policy's parameters, and other forms of them.
struct Given {
    node: Node,
    derived: Derived,
}

impl Given {
    fn new(node: Node) -> Given {
        Given {
            node,
            derived: Derived::default(),
        }
    }
}

/// What is configured for a policy in one stage.
struct InStage {
    severity: Severity,
    parameters: Given,
}

/// Why an engine cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A policy was asked for that there is not.
    #[error("there is no policy {0:?}")]
    UnknownPolicy(String),
    /// Two policies have one id.
    #[error("two policies have the id {0:?}")]
    SameId(String),
}

impl Engine {
    /// Configures policies. What is configured for policies that are not among them, and parameters
    /// that a policy does not take, have no effect: who reads a configuration checks it.
    ///
    /// # Errors
    /// If two policies have one id, or if `settings.only` names one that there is not.
    pub fn new(policies: Vec<Box<dyn Policy>>, settings: Settings) -> Result<Engine, EngineError> {
        let mut policies = policies;
        policies.sort_by(|a, b| a.meta().id.cmp(&b.meta().id));
        if let Some(pair) = policies
            .windows(2)
            .find(|pair| pair[0].meta().id == pair[1].meta().id)
        {
            return Err(EngineError::SameId(pair[0].meta().id.to_string()));
        }
        for id in settings.only.iter().flatten() {
            if !policies.iter().any(|p| p.meta().id == *id) {
                return Err(EngineError::UnknownPolicy(id.clone()));
            }
        }
        let configured: Vec<Configured> = policies
            .into_iter()
            .map(|p| Configured::new(p, &settings))
            .collect();

        let mut by_kind: HashMap<String, Vec<(KindPattern, Vec<usize>)>> = HashMap::new();
        let mut for_all: Vec<(KindPattern, Vec<usize>)> = Vec::new();
        for (i, policy) in configured.iter().enumerate() {
            if !matches!(
                policy.meta.scope,
                Scope::Object | Scope::Stage | Scope::Request
            ) {
                continue;
            }
            let kinds = |kinds: &[GroupKind]| kinds.iter().map(KindPattern::of).collect();
            let patterns: Cow<'_, [KindPattern]> = match &policy.meta.matches {
                Matches::All => vec![KindPattern::default()].into(),
                Matches::Workloads => Cow::Owned(kinds(WORKLOAD_KINDS)),
                Matches::Kinds(named) => Cow::Owned(kinds(named)),
                Matches::Patterns(patterns) => patterns.into(),
                Matches::None => continue,
            };
            for pattern in patterns.iter() {
                let of_name = match &pattern.kind {
                    Some(kind) => by_kind.entry(kind.clone()).or_default(),
                    None => &mut for_all,
                };
                match of_name.iter_mut().find(|(known, _)| known == pattern) {
                    Some((_, policies)) => policies.push(i),
                    None => of_name.push((pattern.clone(), vec![i])),
                }
            }
        }
        Ok(Engine {
            policies: configured,
            settings,
            by_kind,
            for_all,
        })
    }

    /// The policies, sorted by id.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Meta>> {
        self.policies.iter().map(|p| &p.meta)
    }

    /// Names the policies and what is configured for them: another set has another digest.
    pub fn digest(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for policy in &self.policies {
            let meta = &policy.meta;
            let own = self.settings.policies.get(&*meta.id);
            let _ = write!(
                text,
                "{} {:x} {} {} {} {}",
                meta.id,
                meta.version,
                policy.severity,
                self.seeded(meta, &Stage::default_stage()),
                in_words(own.and_then(|o| o.enforcement)),
                in_words(own.and_then(|o| o.admission)),
            );
            text.push_str(&as_json(&policy.parameters.node));
            for (name, in_stage) in &policy.stages {
                let differs = own.and_then(|o| o.stages.get(name));
                let enforcement = in_words(differs.and_then(|s| s.enforcement));
                let admission = in_words(differs.and_then(|s| s.admission));
                let _ = write!(
                    text,
                    "{name} {} {enforcement} {admission}",
                    in_stage.severity
                );
                text.push_str(&as_json(&in_stage.parameters.node));
            }
            text.push('\n');
        }
        for waiver in &self.settings.waivers {
            let _ = writeln!(text, "{}", waiver.identity());
        }
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
    }

    /// What is configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What happens on a violation of a policy in a stage, at a door.
    pub fn enforcement(&self, id: &str, stage: &Stage, door: Door) -> Enforcement {
        self.policy(id)
            .map_or(Enforcement::Off, |p| self.effective(p, stage, door))
    }

    fn policy(&self, id: &str) -> Option<&Configured> {
        self.policies
            .binary_search_by(|p| (*p.meta.id).cmp(id))
            .ok()
            .map(|i| &self.policies[i])
    }

    fn effective(&self, policy: &Configured, stage: &Stage, door: Door) -> Enforcement {
        let meta = &policy.meta;
        if meta.always {
            // What could not be judged is told in every stage, whatever its ceiling.
            return meta.enforcement;
        }
        let chosen = self.settings.only.as_ref();
        if chosen.is_some_and(|only| !only.iter().any(|id| *id == meta.id))
            || (door == Door::Admission && meta.offline)
            || (door == Door::Repository && meta.scope == Scope::Request)
        {
            return Enforcement::Off;
        }
        let own = self.settings.policies.get(&*meta.id);
        let in_stage = own.and_then(|own| own.stages.get(&stage.name));
        let configured = in_stage
            .and_then(|s| s.enforcement)
            .or(own.and_then(|own| own.enforcement));
        let mut enforcement = configured.unwrap_or_else(|| self.seeded(meta, stage));
        if door == Door::Admission {
            let configured = in_stage
                .and_then(|s| s.admission)
                .or(own.and_then(|own| own.admission));
            enforcement = configured.unwrap_or(enforcement.min(meta.admission_bound()));
        }
        stage
            .ceiling
            .map_or(enforcement, |ceiling| enforcement.min(ceiling))
    }

    /// What the seed sets make of a policy.
    fn seeded(&self, meta: &Meta, stage: &Stage) -> Enforcement {
        if meta.brought {
            return meta.default_enforcement(stage.tier);
        }
        let sets = self.settings.extends.iter();
        sets.map(|set| set.enforcement(meta, stage.tier))
            .max()
            .unwrap_or(Enforcement::Off)
    }

    /// Judges a subject: every policy that takes it runs, each by itself, so that a panic or an
    /// error in one is that policy's error and loses nothing of the others.
    pub fn review(&self, subject: &Subject<'_>, world: &World<'_>, limits: &Limits<'_>) -> Verdict {
        Run::new(self, world, limits).judge(subject)
    }

    /// The kinds of objects that policies look at besides their subjects, in a stage, at a door.
    pub fn neighbours(&self, stage: &Stage, door: Door) -> BTreeSet<KindPattern> {
        self.on(stage, door)
            .flat_map(|on| on.policy.neighbours(&on.parameters_in(stage).node))
            .collect()
    }

    /// Does on this thread what the first review in a stage on it would do once for all.
    pub fn prepare(&self, stage: &Stage, door: Door) {
        for on in self.on(stage, door) {
            on.policy.prepare();
        }
    }

    /// The policies that are on in a stage, at a door.
    fn on(&self, stage: &Stage, door: Door) -> impl Iterator<Item = &Configured> {
        let is_on =
            move |policy: &&Configured| self.effective(policy, stage, door) != Enforcement::Off;
        self.policies.iter().filter(is_on)
    }

    /// The policies that take objects of a kind.
    fn of_kind(&self, reference: &ObjectRef) -> impl Iterator<Item = &Configured> {
        let named = self.by_kind.get(&reference.kind).into_iter().flatten();
        let fitting = named
            .chain(&self.for_all)
            .filter(|(pattern, _)| pattern.matches(reference));
        let mut found: Vec<usize> = fitting
            .flat_map(|(_, policies)| policies)
            .copied()
            .collect();
        // One policy may name a kind in several ways.
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|i| &self.policies[i])
    }
}

impl Configured {
    /// Its parameters in a stage.
    fn parameters_in(&self, stage: &Stage) -> &Given {
        let in_stage = self.stages.get(&stage.name);
        in_stage.map_or(&self.parameters, |s| &s.parameters)
    }

    fn new(policy: Box<dyn Policy>, settings: &Settings) -> Configured {
        let meta = Arc::new(policy.meta().clone());
        let own = settings.policies.get(&*meta.id);
        let given = own.and_then(|own| own.parameters.as_ref());
        let parameters = merge(&meta.default_parameters(), given);
        let severity = own.and_then(|own| own.severity).unwrap_or(meta.severity);
        let stages = own.into_iter().flat_map(|own| &own.stages);
        let stages = stages.map(|(stage, differs)| {
            let in_stage = InStage {
                severity: differs.severity.unwrap_or(severity),
                parameters: Given::new(merge(&parameters, differs.parameters.as_ref())),
            };
            (stage.clone(), in_stage)
        });
        Configured {
            severity,
            stages: stages.collect(),
            parameters: Given::new(parameters),
            policy,
            meta,
        }
    }
}

/// `given` over `base`, key by key.
fn merge(base: &Node, given: Option<&Node>) -> Node {
    let mut merged = base.clone();
    if let Value::Object(map) = &mut merged.value {
        for entry in given.map_or(&[][..], Node::entries) {
            map.insert(entry.clone());
        }
    }
    merged
}

fn in_words(enforcement: Option<Enforcement>) -> String {
    enforcement.map_or_else(|| "-".to_owned(), |e| e.to_string())
}

fn as_json(node: &Node) -> String {
    serde_json::to_string(node).unwrap_or_default()
}
