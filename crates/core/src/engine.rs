//! The one way to a verdict.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    Context, Enforcement, Entry, Inventory, Map, Mark, Matches, Meta, Node, Object, ObjectRef,
    Parameter, ParameterKind, Pointer, Policy, PolicyError, Scope, Settings, Severity, Stage, Str,
    Value, Violation, WORKLOAD_KINDS,
};

/// The policies with what is configured for them. Immutable: a changed configuration makes a new
/// engine, and a review ends with the one that it began with.
pub struct Engine {
    policies: Vec<Configured>,
    settings: Settings,
    /// Policies of scope object and stage by the kinds that they name.
    by_kind: HashMap<(String, String), Vec<usize>>,
    /// Policies of scope object and stage that take every object.
    for_all: Vec<usize>,
}

struct Configured {
    policy: Box<dyn Policy>,
    meta: Arc<Meta>,
    severity: Severity,
    enforcement: Option<Enforcement>,
    parameters: Node,
    stages: BTreeMap<String, (Option<Enforcement>, Node)>,
}

/// What is judged.
pub enum Subject<'a> {
    /// A request to create, change or delete an object. The linter makes requests to create.
    Review(Review<'a>),
    /// A violation that a loader or renderer found, to be enforced like any other.
    Reported(Reported<'a>),
}

/// One request to judge.
#[derive(Clone, Copy)]
pub struct Review<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// The object as it would be; none on DELETE.
    pub object: Option<&'a Object>,
    /// The object as it is; none on CREATE.
    pub old_object: Option<&'a Object>,
    /// `status`, `scale`, …; empty for the object itself.
    pub subresource: &'a str,
    /// The full name of who asked; empty offline.
    pub user: &'a str,
    /// Nothing will be stored.
    pub dry_run: bool,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// An object goes.
    Delete,
    /// A connection to an object, such as `kubectl exec`.
    Connect,
}

/// A violation found outside the policies, which one policy stands for.
pub struct Reported<'a> {
    /// The id of that policy.
    pub policy: &'a str,
    /// The violation.
    pub violation: Violation,
}

/// What a policy may look at besides its subject.
pub struct World<'a> {
    /// The stage in which the subject is judged.
    pub stage: &'a Stage,
    /// The objects of that stage, or of the cluster.
    pub inventory: &'a Inventory,
}

/// What the door grants to a review. Core has no clock: both come from outside.
#[derive(Clone, Copy, Default)]
pub struct Limits<'a> {
    /// Today in UTC, for waivers that expire.
    pub today: Option<jiff::civil::Date>,
    /// Set from outside when the time is up; policies that have not begun then do not.
    pub stop: Option<&'a AtomicBool>,
}

/// The engine's answer.
#[derive(Debug, Default)]
pub struct Verdict {
    /// No active finding denies, and no policy that would deny failed to judge.
    pub allowed: bool,
    /// Sorted by policy, pointer and key.
    pub findings: Vec<Finding>,
    /// Policies that could not judge, by id.
    pub errors: Vec<(Arc<Meta>, PolicyError)>,
}

/// A violation with all that is known about it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The policy.
    pub meta: Arc<Meta>,
    /// How bad it is.
    pub severity: Severity,
    /// What happens.
    pub enforcement: Enforcement,
    /// Whether it counts.
    pub status: Status,
    /// The object; none for a finding about a file.
    pub object: Option<ObjectRef>,
    /// What is wrong where.
    pub violation: Violation,
}

/// Whether a finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It counts.
    Active,
    /// Accepted by a waiver.
    Waived,
    /// Known from the baseline.
    Baseline,
}

/// Why an engine cannot be built: a mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// Where the mistake is, where the configuration came from a file.
    pub mark: Mark,
    /// What is wrong.
    pub message: String,
    /// The name that is not known, and those that are: for a suggestion.
    pub unknown: Option<(String, Vec<String>)>,
}

impl Engine {
    /// Configures policies.
    ///
    /// # Errors
    /// Every unknown policy id, unknown parameter and parameter of the wrong type in `settings`.
    pub fn new(
        policies: Vec<Box<dyn Policy>>,
        settings: Settings,
    ) -> Result<Engine, Vec<EngineError>> {
        let mut errors = Vec::new();
        let mut policies = policies;
        policies.sort_by(|a, b| a.meta().id.cmp(&b.meta().id));
        let known: Vec<String> = policies.iter().map(|p| p.meta().id.to_string()).collect();
        let named = settings.policies.iter().map(|(id, p)| (id, p.mark));
        let only = settings.only.iter().flatten().map(|id| (id, Mark::NONE));
        for (id, mark) in named.chain(only) {
            if !known.contains(id) {
                errors.push(EngineError {
                    mark,
                    message: format!("there is no policy {id:?}"),
                    unknown: Some((id.clone(), known.clone())),
                });
            }
        }

        let configured: Vec<Configured> = policies
            .into_iter()
            .map(|p| Configured::new(p, &settings, &mut errors))
            .collect();
        if !errors.is_empty() {
            return Err(errors);
        }

        let mut by_kind: HashMap<(String, String), Vec<usize>> = HashMap::new();
        let mut for_all = Vec::new();
        for (i, policy) in configured.iter().enumerate() {
            if !matches!(policy.meta.scope, Scope::Object | Scope::Stage) {
                continue;
            }
            let kinds = match &policy.meta.matches {
                Matches::All => {
                    for_all.push(i);
                    continue;
                }
                Matches::Workloads => WORKLOAD_KINDS,
                Matches::Kinds(kinds) => kinds,
                Matches::None => continue,
            };
            for kind in kinds {
                by_kind
                    .entry((kind.group.to_owned(), kind.kind.to_owned()))
                    .or_default()
                    .push(i);
            }
        }
        Ok(Engine {
            policies: configured,
            settings,
            by_kind,
            for_all,
        })
    }

    /// The policies, sorted by id, each with what happens in a stage.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Meta>> {
        self.policies.iter().map(|p| &p.meta)
    }

    /// What happens in a stage on a violation of a policy.
    pub fn enforcement(&self, id: &str, stage: &Stage) -> Enforcement {
        self.policies
            .iter()
            .find(|p| p.meta.id == id)
            .map_or(Enforcement::Off, |p| self.effective(p, stage))
    }

    fn effective(&self, policy: &Configured, stage: &Stage) -> Enforcement {
        if policy.meta.always {
            // What could not be judged is told in every stage, whatever its ceiling.
            return policy.meta.enforcement;
        }
        if self
            .settings
            .only
            .as_ref()
            .is_some_and(|only| !only.iter().any(|id| *id == policy.meta.id))
        {
            return Enforcement::Off;
        }
        let enforcement = policy
            .stages
            .get(&stage.name)
            .and_then(|(enforcement, _)| *enforcement)
            .or(policy.enforcement)
            .unwrap_or_else(|| policy.meta.default_enforcement(stage.tier));
        stage
            .ceiling
            .map_or(enforcement, |ceiling| enforcement.min(ceiling))
    }

    /// Judges a subject: every policy that takes it runs, each by itself, so that a panic or an
    /// error in one is that policy's error and loses nothing of the others.
    pub fn review(&self, subject: &Subject<'_>, world: &World<'_>, limits: &Limits<'_>) -> Verdict {
        let mut verdict = Verdict {
            allowed: true,
            ..Verdict::default()
        };
        match subject {
            Subject::Review(review) => {
                let Some(object) = review.object else {
                    return verdict;
                };
                let reference = &object.reference;
                let key = (reference.group().to_owned(), reference.kind.clone());
                let by_kind = self.by_kind.get(&key).map_or(&[][..], Vec::as_slice);
                for &i in by_kind.iter().chain(&self.for_all) {
                    self.run(&self.policies[i], subject, world, limits, &mut verdict);
                }
                for finding in &mut verdict.findings {
                    finding.object = Some(reference.clone());
                }
            }
            Subject::Reported(reported) => {
                if let Some(policy) = self.policies.iter().find(|p| p.meta.id == reported.policy) {
                    self.run(policy, subject, world, limits, &mut verdict);
                }
            }
        }
        verdict.findings.sort_by(|a, b| {
            (
                &a.meta.id,
                &a.violation.pointer,
                &a.violation.key,
                &a.violation.message,
            )
                .cmp(&(
                    &b.meta.id,
                    &b.violation.pointer,
                    &b.violation.key,
                    &b.violation.message,
                ))
        });
        verdict.errors.sort_by(|a, b| a.0.id.cmp(&b.0.id));
        verdict
    }

    fn run(
        &self,
        policy: &Configured,
        subject: &Subject<'_>,
        world: &World<'_>,
        limits: &Limits<'_>,
        verdict: &mut Verdict,
    ) {
        let enforcement = self.effective(policy, world.stage);
        if enforcement == Enforcement::Off {
            return;
        }
        let parameters = policy
            .stages
            .get(&world.stage.name)
            .map_or(&policy.parameters, |s| &s.1);
        let context = Context {
            subject,
            world,
            settings: &self.settings,
            parameters,
        };
        let result = if limits.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            Err(PolicyError::Stopped)
        } else {
            // Policies only read: nothing half-changed can be seen after a panic.
            catch_unwind(AssertUnwindSafe(|| policy.policy.review(&context)))
                .unwrap_or_else(|panic| Err(PolicyError::Panicked(panic_message(&*panic))))
        };
        match result {
            Ok(violations) => {
                verdict.allowed &= violations.is_empty() || enforcement != Enforcement::Deny;
                verdict
                    .findings
                    .extend(violations.into_iter().map(|violation| Finding {
                        meta: Arc::clone(&policy.meta),
                        severity: policy.severity,
                        enforcement,
                        status: Status::Active,
                        object: None,
                        violation,
                    }));
            }
            Err(error) => {
                verdict.allowed &= enforcement != Enforcement::Deny;
                verdict.errors.push((Arc::clone(&policy.meta), error));
            }
        }
    }
}

impl Configured {
    fn new(
        policy: Box<dyn Policy>,
        settings: &Settings,
        errors: &mut Vec<EngineError>,
    ) -> Configured {
        let meta = Arc::new(policy.meta().clone());
        let defaults = defaults(&meta.parameters);
        let Some(own) = settings.policies.get(&*meta.id) else {
            return Configured {
                severity: meta.severity,
                enforcement: None,
                parameters: defaults,
                stages: BTreeMap::new(),
                policy,
                meta,
            };
        };
        let parameters = merge(&meta, &defaults, own.parameters.as_ref(), errors);
        let stages = own
            .stages
            .iter()
            .map(|(stage, differs)| {
                let parameters = merge(&meta, &parameters, differs.parameters.as_ref(), errors);
                (stage.clone(), (differs.enforcement, parameters))
            })
            .collect();
        Configured {
            severity: own.severity.unwrap_or(meta.severity),
            enforcement: own.enforcement,
            parameters,
            stages,
            policy,
            meta,
        }
    }
}

fn defaults(parameters: &[Parameter]) -> Node {
    let entries = parameters.iter().map(|parameter| Entry {
        key: Str::const_new(parameter.name),
        key_mark: Mark::NONE,
        node: Node::unmarked(match parameter.kind {
            ParameterKind::Bool(b) => Value::Bool(b),
            ParameterKind::Strings(strings) => Value::Array(
                strings
                    .iter()
                    .map(|s| Node::unmarked(Value::String(Str::const_new(s))))
                    .collect(),
            ),
        }),
    });
    Node::unmarked(Value::Object(Map::from_entries(entries.collect())))
}

/// `given` over `base`, checked against what the policy takes.
fn merge(meta: &Meta, base: &Node, given: Option<&Node>, errors: &mut Vec<EngineError>) -> Node {
    let mut merged = base.clone();
    let Value::Object(map) = &mut merged.value else {
        return merged;
    };
    for entry in given.map_or(&[][..], Node::entries) {
        match meta.parameters.iter().find(|p| p.name == entry.key) {
            None => errors.push(EngineError {
                mark: entry.key_mark,
                message: format!(
                    "the policy {} has no parameter {:?}",
                    meta.id,
                    entry.key.as_str()
                ),
                unknown: Some((
                    entry.key.to_string(),
                    meta.parameters.iter().map(|p| p.name.to_owned()).collect(),
                )),
            }),
            Some(parameter) if !parameter.kind.accepts(&entry.node) => errors.push(EngineError {
                mark: entry.node.mark,
                message: format!(
                    "the parameter {:?} of {} must be {}",
                    entry.key.as_str(),
                    meta.id,
                    parameter.kind.expected()
                ),
                unknown: None,
            }),
            Some(_) => map.insert(entry.clone()),
        }
    }
    merged
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

impl Violation {
    /// A violation about a whole file, which its key tells from others.
    pub fn of_file(key: String, message: String) -> Self {
        Violation {
            pointer: Pointer::root(),
            key,
            message,
            help: None,
            related: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::{PolicySettings, StageName, StageOverride};

    struct Rule {
        meta: Meta,
        answer: fn() -> Result<Vec<Violation>, PolicyError>,
    }

    impl Policy for Rule {
        fn meta(&self) -> &Meta {
            &self.meta
        }
        fn review(&self, _: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
            (self.answer)()
        }
    }

    fn rule(
        id: &'static str,
        answer: fn() -> Result<Vec<Violation>, PolicyError>,
    ) -> Box<dyn Policy> {
        Box::new(Rule {
            meta: Meta {
                id: Cow::Borrowed(id),
                title: Cow::Borrowed(""),
                category: Cow::Borrowed("test"),
                severity: Severity::High,
                enforcement: Enforcement::Warn,
                production: Some(Enforcement::Deny),
                scope: Scope::Object,
                matches: Matches::All,
                parameters: Cow::Borrowed(&[Parameter {
                    name: "flag",
                    kind: ParameterKind::Bool(false),
                    description: "",
                }]),
                help: Cow::Borrowed(""),
                manual: Cow::Borrowed(""),
                controls: Cow::Borrowed(&[]),
                always: false,
            },
            answer,
        })
    }

    fn one_violation() -> Result<Vec<Violation>, PolicyError> {
        Ok(vec![Violation::of_file("k".to_owned(), "no".to_owned())])
    }

    fn stage(name: &str) -> Stage {
        Stage::named(StageName::any(name))
    }

    fn judge(engine: &Engine, stage: &Stage, limits: &Limits<'_>) -> Verdict {
        let node: Node = serde_json::from_str(r#"{"apiVersion": "v1", "kind": "Pod"}"#).unwrap();
        let object = Object::new(node, Arc::default()).unwrap();
        let review = Review {
            operation: Operation::Create,
            object: Some(&object),
            old_object: None,
            subresource: "",
            user: "",
            dry_run: false,
        };
        let inventory = Inventory::default();
        engine.review(
            &Subject::Review(review),
            &World {
                stage,
                inventory: &inventory,
            },
            limits,
        )
    }

    #[test]
    fn a_panic_is_the_error_of_its_policy_and_the_others_still_judge() {
        let policies = vec![
            rule("b-bad", || panic!("boom")),
            rule("a-good", one_violation),
        ];
        let engine = Engine::new(policies, Settings::default()).ok().unwrap();
        let verdict = judge(&engine, &stage("dev"), &Limits::default());
        assert_eq!(verdict.findings.len(), 1);
        assert_eq!(
            verdict.errors[0].1,
            PolicyError::Panicked("boom".to_owned())
        );
        assert!(verdict.allowed);
        // Where it would deny, what was not judged is not let through.
        assert!(!judge(&engine, &stage("prod"), &Limits::default()).allowed);
    }

    #[test]
    fn the_stop_signal_is_an_error_and_never_a_finding() {
        let engine = Engine::new(vec![rule("a", one_violation)], Settings::default())
            .ok()
            .unwrap();
        let stop = AtomicBool::new(true);
        let limits = Limits {
            stop: Some(&stop),
            ..Limits::default()
        };
        let verdict = judge(&engine, &stage("dev"), &limits);
        assert!(verdict.findings.is_empty());
        assert_eq!(verdict.errors[0].1, PolicyError::Stopped);
    }

    #[test]
    fn enforcement_follows_tier_configuration_override_and_ceiling() {
        let of = |settings: PolicySettings, stage: &Stage| {
            let settings = Settings {
                policies: [("a".to_owned(), settings)].into(),
                ..Settings::default()
            };
            let engine = Engine::new(vec![rule("a", one_violation)], settings)
                .ok()
                .unwrap();
            engine.enforcement("a", stage)
        };
        let plain = PolicySettings::default;
        assert_eq!(of(plain(), &stage("dev")), Enforcement::Warn);
        assert_eq!(of(plain(), &stage("production")), Enforcement::Deny);
        let audit = PolicySettings {
            enforcement: Some(Enforcement::Audit),
            ..plain()
        };
        assert_eq!(of(audit.clone(), &stage("prod")), Enforcement::Audit);
        let mut with_override = audit;
        with_override.stages.insert(
            "prod".to_owned(),
            StageOverride {
                enforcement: Some(Enforcement::Deny),
                ..StageOverride::default()
            },
        );
        assert_eq!(of(with_override.clone(), &stage("prod")), Enforcement::Deny);
        assert_eq!(of(with_override.clone(), &stage("dev")), Enforcement::Audit);
        let capped = Stage {
            ceiling: Some(Enforcement::Warn),
            ..stage("prod")
        };
        assert_eq!(of(with_override, &capped), Enforcement::Warn);
    }

    #[test]
    fn mistakes_in_the_settings_are_all_told() {
        let parameters: Node = serde_json::from_str(r#"{"flag": 1, "flaq": true}"#).unwrap();
        let own = PolicySettings {
            parameters: Some(parameters),
            ..PolicySettings::default()
        };
        let settings = Settings {
            policies: [
                ("a".to_owned(), own),
                ("b".to_owned(), PolicySettings::default()),
            ]
            .into(),
            ..Settings::default()
        };
        let errors = Engine::new(vec![rule("a", one_violation)], settings)
            .err()
            .unwrap();
        let messages: Vec<_> = errors.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "there is no policy \"b\"",
                "the parameter \"flag\" of a must be true or false",
                "the policy a has no parameter \"flaq\"",
            ]
        );
    }
}
