//! The one way to a verdict.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::update::is_finishing;
use crate::waiver::{Annotation, Asked};
use crate::{
    Context, Door, Enforcement, FileSubject, Finding, Limits, Matches, Meta, Node, Object,
    ObjectRef, Operation, Policy, PolicyError, PolicyFailure, Reported, Review, Scope, Settings,
    Severity, Stage, Status, Subject, Value, Verdict, Violation, WAIVER_UNUSED,
    WAIVER_WITHOUT_REASON, WORKLOAD_KINDS, WaivedBy, World,
};

/// The policies with what is configured for them. Immutable: a changed configuration makes a new
/// engine, and a review ends with the one that it began with.
pub struct Engine {
    policies: Vec<Configured>,
    settings: Settings,
    /// Policies that take objects, by the kinds that they name: kind, then group.
    by_kind: HashMap<&'static str, Vec<(&'static str, Vec<usize>)>>,
    /// Policies that take objects of every kind.
    for_all: Vec<usize>,
}

struct Configured {
    policy: Box<dyn Policy>,
    meta: Arc<Meta>,
    severity: Severity,
    parameters: Node,
    stages: BTreeMap<String, InStage>,
}

/// What is configured for a policy in one stage.
struct InStage {
    severity: Severity,
    parameters: Node,
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

        let mut by_kind: HashMap<&str, Vec<(&str, Vec<usize>)>> = HashMap::new();
        let mut for_all = Vec::new();
        for (i, policy) in configured.iter().enumerate() {
            if !matches!(
                policy.meta.scope,
                Scope::Object | Scope::Stage | Scope::Request
            ) {
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
                let groups = by_kind.entry(kind.kind).or_default();
                match groups.iter_mut().find(|(group, _)| *group == kind.group) {
                    Some((_, policies)) => policies.push(i),
                    None => groups.push((kind.group, vec![i])),
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
                "{} {} {} {} {}",
                meta.id,
                policy.severity,
                self.seeded(meta, &Stage::default_stage()),
                in_words(own.and_then(|o| o.enforcement)),
                in_words(own.and_then(|o| o.admission)),
            );
            text.push_str(&as_json(&policy.parameters));
            for (name, in_stage) in &policy.stages {
                let differs = own.and_then(|o| o.stages.get(name));
                let enforcement = in_words(differs.and_then(|s| s.enforcement));
                let admission = in_words(differs.and_then(|s| s.admission));
                let _ = write!(
                    text,
                    "{name} {} {enforcement} {admission}",
                    in_stage.severity
                );
                text.push_str(&as_json(&in_stage.parameters));
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
            // What a policy compares arrives one object at a time, in any order.
            let across = matches!(meta.scope, Scope::Stage | Scope::Repository);
            enforcement = configured.unwrap_or_else(|| {
                let bound = if across {
                    Enforcement::Warn
                } else {
                    Enforcement::Deny
                };
                enforcement
                    .min(bound)
                    .min(meta.admission.unwrap_or(Enforcement::Deny))
            });
        }
        stage
            .ceiling
            .map_or(enforcement, |ceiling| enforcement.min(ceiling))
    }

    /// What the seed sets make of a policy.
    fn seeded(&self, meta: &Meta, stage: &Stage) -> Enforcement {
        let sets = self.settings.extends.iter();
        sets.map(|set| set.enforcement(meta, stage.tier))
            .max()
            .unwrap_or(Enforcement::Off)
    }

    /// Judges a subject: every policy that takes it runs, each by itself, so that a panic or an
    /// error in one is that policy's error and loses nothing of the others.
    pub fn review(&self, subject: &Subject<'_>, world: &World<'_>, limits: &Limits<'_>) -> Verdict {
        let mut run = Run {
            engine: self,
            world,
            limits,
            verdict: Verdict::default(),
        };
        match subject {
            Subject::Review(review) => run.request(review),
            Subject::File(file) => run.file(file),
            Subject::Reported(reported) => run.reported(reported),
        }
        run.finish()
    }

    /// The policies that take objects of a kind.
    fn of_kind(&self, reference: &ObjectRef) -> impl Iterator<Item = &Configured> {
        let named = self.by_kind.get(reference.kind.as_str());
        let named = named
            .and_then(|groups| groups.iter().find(|(group, _)| *group == reference.group()))
            .map_or(&[][..], |(_, policies)| policies.as_slice());
        named
            .iter()
            .chain(&self.for_all)
            .map(|&i| &self.policies[i])
    }
}

/// One review.
struct Run<'a> {
    engine: &'a Engine,
    world: &'a World<'a>,
    limits: &'a Limits<'a>,
    verdict: Verdict,
}

impl Run<'_> {
    fn request(&mut self, review: &Review<'_>) {
        let Some(object) = review.object.or(review.old_object) else {
            return;
        };
        if is_finishing(review) {
            return;
        }
        let mut ran: BTreeSet<&str> = BTreeSet::new();
        let mut denying: Vec<&Configured> = Vec::new();
        for policy in self.engine.of_kind(&object.reference) {
            let meta = &policy.meta;
            let needs_neighbours = matches!(meta.scope, Scope::Stage | Scope::Repository);
            if !meta.takes(review.operation, review.subresource)
                || (needs_neighbours && self.world.inventory.is_none())
            {
                continue;
            }
            let before = self.verdict.findings.len();
            if self.policy(policy, &Subject::Review(*review), review.object) {
                ran.insert(&meta.id);
            }
            let found = &mut self.verdict.findings[before..];
            for finding in found.iter_mut() {
                finding.object = Some(object.reference.clone());
            }
            self.waive(before, Some(object));
            let found = &self.verdict.findings[before..];
            if found.iter().any(Finding::denies) && meta.scope != Scope::Request {
                denying.push(policy);
            }
        }
        self.annotation(review, object, &ran);
        if review.operation == Operation::Update
            && let Some(old) = review.old_object
        {
            for policy in denying {
                self.forgive_what_was_there(policy, review, old);
            }
        }
    }

    /// An update is denied for what it brings, not for what was there before it: that is warned
    /// about. What an annotation waived before counts as brought by whoever takes the annotation
    /// away.
    fn forgive_what_was_there(&mut self, policy: &Configured, review: &Review<'_>, old: &Object) {
        let before = Review {
            object: Some(old),
            old_object: None,
            ..*review
        };
        let mut past = Run {
            engine: self.engine,
            world: self.world,
            limits: self.limits,
            verdict: Verdict::default(),
        };
        past.policy(policy, &Subject::Review(before), Some(old));
        past.waive(0, Some(old));
        let there: BTreeSet<&str> = past
            .verdict
            .findings
            .iter()
            .filter(|f| f.waiver != Some(WaivedBy::Annotation))
            .map(|f| f.violation.key.as_str())
            .collect();
        for finding in &mut self.verdict.findings {
            if finding.meta.id == policy.meta.id && there.contains(finding.violation.key.as_str()) {
                finding.enforcement = finding.enforcement.min(Enforcement::Warn);
            }
        }
    }

    fn file(&mut self, file: &FileSubject<'_>) {
        let policies = &self.engine.policies;
        for policy in policies
            .iter()
            .filter(|p| p.meta.files.contains(&file.kind))
        {
            self.policy(policy, &Subject::File(*file), None);
        }
        self.waive_in_file(0, file.path);
    }

    fn reported(&mut self, reported: &Reported<'_>) {
        let Some(policy) = self.engine.policy(reported.policy) else {
            return;
        };
        let enforcement = self.effective(policy);
        if enforcement == Enforcement::Off {
            return;
        }
        self.found(policy, enforcement, vec![reported.violation.clone()]);
        match reported.object {
            Some(object) => {
                for finding in &mut self.verdict.findings {
                    finding.object = Some(object.reference.clone());
                }
                self.waive(0, Some(object));
            }
            None => self.waive_in_file(0, reported.path),
        }
    }

    fn effective(&self, policy: &Configured) -> Enforcement {
        let world = self.world;
        self.engine.effective(policy, world.stage, world.door)
    }

    /// Lets a policy judge. Gives whether it did.
    fn policy(
        &mut self,
        policy: &Configured,
        subject: &Subject<'_>,
        incoming: Option<&Object>,
    ) -> bool {
        let enforcement = self.effective(policy);
        if enforcement == Enforcement::Off {
            return false;
        }
        let settings = &self.engine.settings;
        let stage = &self.world.stage.name;
        let in_stage = policy.stages.get(stage);
        let own = settings.policies.get(&*policy.meta.id);
        let context = Context {
            subject,
            world: self.world,
            settings,
            parameters: in_stage.map_or(&policy.parameters, |s| &s.parameters),
            enforcement_is_configured: own.is_some_and(|own| {
                own.enforcement.is_some()
                    || own
                        .stages
                        .get(stage)
                        .is_some_and(|s| s.enforcement.is_some())
            }),
            // Offline the neighbours hold the subject itself.
            incoming: incoming.filter(|_| self.world.door == Door::Admission),
        };
        let stop = self.limits.stop;
        let result = if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            Err(PolicyError::Stopped)
        } else {
            // Policies only read: nothing half-changed can be seen after a panic.
            catch_unwind(AssertUnwindSafe(|| policy.policy.review(&context)))
                .unwrap_or_else(|panic| Err(PolicyError::Panicked(panic_message(&*panic))))
        };
        match result {
            Ok(violations) => {
                self.found(policy, enforcement, violations);
                true
            }
            Err(error) => {
                let configured = own.and_then(|own| match error {
                    PolicyError::Stopped => own.on_timeout,
                    _ => own.on_error,
                });
                // What would deny and was not judged is not let through.
                let consequence = match enforcement {
                    Enforcement::Deny => Enforcement::Deny,
                    _ => Enforcement::Warn,
                };
                self.verdict.errors.push(PolicyFailure {
                    meta: Arc::clone(&policy.meta),
                    error,
                    enforcement: self.bounded(configured.unwrap_or(consequence)),
                });
                false
            }
        }
    }

    fn found(&mut self, policy: &Configured, enforcement: Enforcement, violations: Vec<Violation>) {
        let in_stage = policy.stages.get(&self.world.stage.name);
        let severity = in_stage.map_or(policy.severity, |s| s.severity);
        let enforcement = self.bounded(enforcement);
        self.verdict
            .findings
            .extend(violations.into_iter().map(|violation| {
                Finding {
                    meta: Arc::clone(&policy.meta),
                    severity,
                    enforcement: violation
                        .at_most
                        .map_or(enforcement, |e| e.min(enforcement)),
                    status: Status::Active,
                    waiver: None,
                    object: None,
                    violation,
                }
            }));
    }

    /// The door may bound what happens, whatever is configured.
    fn bounded(&self, enforcement: Enforcement) -> Enforcement {
        self.limits
            .at_most
            .map_or(enforcement, |e| e.min(enforcement))
    }

    /// Waives findings from an index on, all of one object.
    fn waive(&mut self, from: usize, object: Option<&Object>) {
        if self.verdict.findings.len() == from {
            return;
        }
        let annotation = object.and_then(Annotation::of).filter(|a| a.has_reason);
        let (world, files) = (self.world, self.world.files);
        for i in from..self.verdict.findings.len() {
            let finding = &self.verdict.findings[i];
            let mark = object.map(|o| o.node.nearest(&finding.violation.pointer).mark);
            let path = || files?.path(mark?.file);
            let reference = object.map(|o| &o.reference);
            let by_annotation = || {
                let ids = &annotation.as_ref()?.ids;
                let meta = &finding.meta;
                let honoured = ids.contains(&&*meta.id)
                    && !meta.guarded
                    && world.stage.lets_annotation_waive(&meta.id);
                honoured.then_some(WaivedBy::Annotation)
            };
            let waiver = self
                .by_configuration(finding, reference, &path)
                .or_else(by_annotation);
            self.mark_waived(i, waiver);
        }
    }

    fn waive_in_file(&mut self, from: usize, path: &str) {
        for i in from..self.verdict.findings.len() {
            let finding = &self.verdict.findings[i];
            let waiver = self.by_configuration(finding, None, &|| Some(path.to_owned()));
            self.mark_waived(i, waiver);
        }
    }

    fn by_configuration(
        &self,
        finding: &Finding,
        object: Option<&ObjectRef>,
        path: &dyn Fn() -> Option<String>,
    ) -> Option<WaivedBy> {
        let asked = Asked {
            policy: &finding.meta.id,
            object,
            stage: self.world.stage,
            path,
        };
        let today = self.limits.today;
        let waivers = self.engine.settings.waivers.iter();
        waivers
            .enumerate()
            .find(|(_, waiver)| waiver.is_in_force(today) && waiver.matches(&asked))
            .map(|(i, _)| WaivedBy::Configuration(i))
    }

    /// What could not be judged cannot be waived.
    fn mark_waived(&mut self, index: usize, waiver: Option<WaivedBy>) {
        let finding = &mut self.verdict.findings[index];
        if waiver.is_some() && !finding.meta.always {
            finding.waiver = waiver;
            finding.status = Status::Waived;
        }
    }

    /// What is to be said about the object's own annotation.
    fn annotation(&mut self, review: &Review<'_>, object: &Object, ran: &BTreeSet<&str>) {
        if !review.subresource.is_empty() || review.object.is_none() {
            return;
        }
        let Some(annotation) = Annotation::of(object) else {
            return;
        };
        let stage = self.world.stage;
        let mut wrong: Vec<(&str, String, String)> = Vec::new();
        if !annotation.has_reason {
            let message =
                "the annotation has no stagegate.dev/reason beside it, so it waives nothing";
            wrong.push((WAIVER_WITHOUT_REASON, String::new(), message.to_owned()));
        }
        for id in annotation.ids.iter().filter(|_| annotation.has_reason) {
            let refused = match self.engine.policy(id) {
                None => Some(format!("there is no policy {id:?} to waive")),
                Some(policy) if policy.meta.guarded || policy.meta.always => Some(format!(
                    "{id} cannot be waived by an annotation; the configuration can, under `waivers`"
                )),
                Some(_) if !stage.lets_annotation_waive(id) => Some(format!(
                    "annotations do not waive {id} in the stage {}; its `annotationWaivers` can \
                     let them",
                    stage.name
                )),
                Some(_) => None,
            };
            match refused {
                Some(message) => wrong.push((WAIVER_UNUSED, (*id).to_owned(), message)),
                None if ran.contains(id) => {
                    let used = self.verdict.findings.iter().any(|finding| {
                        finding.meta.id == *id && finding.waiver == Some(WaivedBy::Annotation)
                    });
                    self.verdict.annotations.push(((*id).to_owned(), used));
                }
                None => {}
            }
        }
        for (policy, key, message) in wrong {
            let Some(policy) = self.engine.policy(policy) else {
                continue;
            };
            let enforcement = self.effective(policy);
            if enforcement == Enforcement::Off {
                continue;
            }
            let pointer = Annotation::pointer();
            let mut violation = Violation::of_file(format!("waive={key}"), message);
            violation.pointer = pointer;
            let before = self.verdict.findings.len();
            self.found(policy, enforcement, vec![violation]);
            for finding in &mut self.verdict.findings[before..] {
                finding.object = Some(object.reference.clone());
            }
        }
    }

    fn finish(mut self) -> Verdict {
        let verdict = &mut self.verdict;
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
        verdict.errors.sort_by(|a, b| a.meta.id.cmp(&b.meta.id));
        verdict.allowed = !verdict.findings.iter().any(Finding::denies)
            && !verdict
                .errors
                .iter()
                .any(|e| e.enforcement == Enforcement::Deny);
        self.verdict
    }
}

impl Configured {
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
                parameters: merge(&parameters, differs.parameters.as_ref()),
            };
            (stage.clone(), in_stage)
        });
        Configured {
            severity,
            stages: stages.collect(),
            parameters,
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

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::atomic::AtomicBool;

    use serde_json::json;

    use super::*;
    use crate::{
        Cursor, Inventory, NameGlob, PathGlob, PolicySettings, SeedSet, StageName, StageOverride,
        Waiver,
    };

    type Answer = fn(&Context<'_>) -> Result<Vec<Violation>, PolicyError>;

    struct Rule(Meta, Answer);

    impl Policy for Rule {
        fn meta(&self) -> &Meta {
            &self.0
        }
        fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
            (self.1)(cx)
        }
    }

    fn rule(id: &'static str, answer: Answer) -> Box<dyn Policy> {
        let meta = Meta {
            production: Some(Enforcement::Deny),
            parameters: json!({"flag": {"type": "boolean", "default": false}})
                .as_object()
                .unwrap()
                .clone(),
            ..Meta::native(id, "test", "", "")
        };
        Box::new(Rule(meta, answer))
    }

    fn of_scope(id: &'static str, scope: Scope) -> Box<dyn Policy> {
        let meta = Meta {
            scope,
            enforcement: Enforcement::Deny,
            ..Meta::native(id, "test", "", "")
        };
        Box::new(Rule(meta, |_| one_violation()))
    }

    fn one_violation() -> Result<Vec<Violation>, PolicyError> {
        Ok(vec![Violation::of_file("k".to_owned(), "no".to_owned())])
    }

    /// One violation for each member of `data`, about its value.
    fn bad_data(cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let Some(object) = cx.object() else {
            return Ok(Vec::new());
        };
        let root = Cursor::root(&object.node);
        let data = root.member("data");
        let entries = data.node().map_or(&[][..], Node::entries);
        let violation = |key: &str| {
            let member = data.member(key);
            let value = member.node().and_then(Node::as_str).unwrap_or_default();
            Violation::of_value(&member, value, format!("bad {key}"))
        };
        Ok(entries.iter().map(|e| violation(&e.key)).collect())
    }

    fn stage(name: &str) -> Stage {
        Stage::named(StageName::any(name))
    }

    fn engine(policies: Vec<Box<dyn Policy>>, settings: Settings) -> Engine {
        Engine::new(policies, settings).unwrap()
    }

    fn object(value: serde_json::Value) -> Object {
        let mut value = value;
        value["apiVersion"] = json!("v1");
        value["kind"] = json!("ConfigMap");
        Object::new(serde_json::from_value(value).unwrap(), Arc::default()).unwrap()
    }

    fn judge_review(
        engine: &Engine,
        stage: &Stage,
        door: Door,
        review: Review<'_>,
        limits: &Limits<'_>,
    ) -> Verdict {
        let inventory = Inventory::default();
        let world = World {
            stage,
            inventory: Some(&inventory),
            door,
            files: None,
        };
        engine.review(&Subject::Review(review), &world, limits)
    }

    fn judge(engine: &Engine, stage: &Stage, limits: &Limits<'_>) -> Verdict {
        let object = object(json!({}));
        judge_review(
            engine,
            stage,
            Door::Repository,
            Review::create(&object),
            limits,
        )
    }

    #[test]
    fn a_panic_is_the_error_of_its_policy_and_the_others_still_judge() {
        let policies = vec![
            rule("b-bad", |_| panic!("boom")),
            rule("a-good", |_| one_violation()),
        ];
        let engine = engine(policies, Settings::default());
        let verdict = judge(&engine, &stage("dev"), &Limits::default());
        assert_eq!(verdict.findings.len(), 1);
        assert_eq!(
            verdict.errors[0].error,
            PolicyError::Panicked("boom".to_owned())
        );
        assert!(verdict.allowed);
        // Where it would deny, what was not judged is not let through.
        assert!(!judge(&engine, &stage("prod"), &Limits::default()).allowed);
    }

    #[test]
    fn what_happens_on_an_error_can_be_configured() {
        let own = PolicySettings {
            on_error: Some(Enforcement::Warn),
            ..PolicySettings::default()
        };
        let settings = Settings {
            policies: [("a".to_owned(), own)].into(),
            ..Settings::default()
        };
        let engine = engine(vec![rule("a", |_| panic!("boom"))], settings);
        assert!(judge(&engine, &stage("prod"), &Limits::default()).allowed);
    }

    #[test]
    fn the_stop_signal_is_an_error_and_never_a_finding() {
        let engine = engine(vec![rule("a", |_| one_violation())], Settings::default());
        let stop = AtomicBool::new(true);
        let limits = Limits {
            stop: Some(&stop),
            ..Limits::default()
        };
        let verdict = judge(&engine, &stage("dev"), &limits);
        assert!(verdict.findings.is_empty());
        assert_eq!(verdict.errors[0].error, PolicyError::Stopped);
    }

    #[test]
    fn enforcement_follows_tier_configuration_override_and_ceiling() {
        let of = |settings: PolicySettings, stage: &Stage| {
            let settings = Settings {
                policies: [("a".to_owned(), settings)].into(),
                ..Settings::default()
            };
            let engine = engine(vec![rule("a", |_| one_violation())], settings);
            engine.enforcement("a", stage, Door::Repository)
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
    fn the_strictest_seed_set_counts_and_none_switches_off() {
        let meta = Meta {
            strict: Some(Enforcement::Deny),
            ..Meta::native("a", "test", "", "")
        };
        let of = |extends: &[SeedSet]| {
            let rule = Box::new(Rule(meta.clone(), |_| one_violation()));
            let settings = Settings {
                extends: extends.to_vec(),
                ..Settings::default()
            };
            engine(vec![rule], settings).enforcement("a", &stage("dev"), Door::Repository)
        };
        assert_eq!(of(&[SeedSet::Recommended]), Enforcement::Warn);
        assert_eq!(
            of(&[SeedSet::Strict, SeedSet::Recommended]),
            Enforcement::Deny
        );
        assert_eq!(of(&[SeedSet::None]), Enforcement::Off);
        assert_eq!(of(&[]), Enforcement::Off);
    }

    #[test]
    fn at_admission_what_compares_objects_warns_unless_configured() {
        let admission = PolicySettings {
            admission: Some(Enforcement::Deny),
            ..PolicySettings::default()
        };
        let of = |scope: Scope, own: PolicySettings, door: Door| {
            let settings = Settings {
                policies: [("a".to_owned(), own)].into(),
                ..Settings::default()
            };
            engine(vec![of_scope("a", scope)], settings).enforcement("a", &stage("prod"), door)
        };
        let plain = PolicySettings::default;
        assert_eq!(
            of(Scope::Stage, plain(), Door::Repository),
            Enforcement::Deny
        );
        assert_eq!(
            of(Scope::Stage, plain(), Door::Admission),
            Enforcement::Warn
        );
        assert_eq!(
            of(Scope::Stage, admission, Door::Admission),
            Enforcement::Deny
        );
        assert_eq!(
            of(Scope::Object, plain(), Door::Admission),
            Enforcement::Deny
        );
        // Who asks is known at admission only.
        assert_eq!(
            of(Scope::Request, plain(), Door::Repository),
            Enforcement::Off
        );
        assert_eq!(
            of(Scope::Request, plain(), Door::Admission),
            Enforcement::Deny
        );
    }

    #[test]
    fn an_update_is_denied_for_what_it_brings() {
        let engine = engine(vec![rule("a", bad_data)], Settings::default());
        let old = object(json!({"data": {"x": "1", "y": "1"}}));
        let new = object(json!({"data": {"x": "1", "y": "2", "z": "1"}}));
        let review = Review {
            operation: Operation::Update,
            old_object: Some(&old),
            ..Review::create(&new)
        };
        let limits = Limits::default();
        let verdict = judge_review(&engine, &stage("prod"), Door::Admission, review, &limits);
        let found: Vec<_> = verdict
            .findings
            .iter()
            .map(|f| (f.violation.message.as_str(), f.enforcement))
            .collect();
        assert_eq!(
            found,
            [
                ("bad x", Enforcement::Warn),
                ("bad y", Enforcement::Deny),
                ("bad z", Enforcement::Deny),
            ]
        );
        assert!(!verdict.allowed);
    }

    #[test]
    fn taking_an_annotation_away_brings_what_it_waived() {
        let engine = engine(vec![rule("a", bad_data)], Settings::default());
        let annotated = object(json!({
            "metadata": {"annotations": {
                "stagegate.dev/waive": "a", "stagegate.dev/reason": "known"}},
            "data": {"x": "1"},
        }));
        let bare = object(json!({"data": {"x": "1"}}));
        let mut lenient = stage("prod");
        lenient.annotation_waivers = Some(crate::AnnotationWaivers::All);
        let limits = Limits::default();
        let judge = |new: &Object, old: Option<&Object>, stage: &Stage| {
            let review = Review {
                operation: old.map_or(Operation::Create, |_| Operation::Update),
                old_object: old,
                ..Review::create(new)
            };
            judge_review(&engine, stage, Door::Admission, review, &limits)
        };
        let waived = judge(&annotated, None, &lenient);
        assert!(waived.allowed);
        assert_eq!(waived.findings[0].status, Status::Waived);
        assert_eq!(waived.annotations, [("a".to_owned(), true)]);
        assert!(!judge(&bare, Some(&annotated), &lenient).allowed);
        assert!(judge(&bare, Some(&bare), &lenient).allowed);
        // In production nothing is waived by annotation unless configured.
        assert!(!judge(&annotated, None, &stage("prod")).allowed);
    }

    #[test]
    fn a_waiver_needs_a_reason_and_its_time() {
        let waiver = |reason: Option<&str>, expires: Option<&str>| Waiver {
            mark: crate::Mark::NONE,
            policies: vec![NameGlob::new("a*").unwrap()],
            objects: Vec::new(),
            paths: Vec::new(),
            stages: vec!["prod".to_owned()],
            reason: reason.map(str::to_owned),
            expires: expires.map(|date| date.parse().unwrap()),
        };
        let status = |waiver: Waiver, name: &str| {
            let settings = Settings {
                waivers: vec![waiver],
                ..Settings::default()
            };
            let engine = engine(vec![rule("a", |_| one_violation())], settings);
            let limits = Limits {
                today: Some("2026-06-30".parse().unwrap()),
                ..Limits::default()
            };
            judge(&engine, &stage(name), &limits).findings[0].status
        };
        let why = Some("known");
        assert_eq!(status(waiver(why, None), "prod"), Status::Waived);
        assert_eq!(status(waiver(why, None), "dev"), Status::Active);
        assert_eq!(status(waiver(None, None), "prod"), Status::Active);
        // The last day is included.
        assert_eq!(
            status(waiver(why, Some("2026-06-30")), "prod"),
            Status::Waived
        );
        assert_eq!(
            status(waiver(why, Some("2026-06-29")), "prod"),
            Status::Active
        );
        // Nothing has a path at admission.
        let mut with_path = waiver(why, None);
        with_path.paths = vec![PathGlob::new("**", crate::Mark::NONE).unwrap()];
        assert_eq!(status(with_path, "prod"), Status::Active);
    }

    #[test]
    fn a_policy_that_is_not_there_cannot_be_chosen() {
        let settings = Settings {
            only: Some(vec!["b".to_owned()]),
            ..Settings::default()
        };
        let error = Engine::new(vec![rule("a", |_| one_violation())], settings).err();
        assert_eq!(error, Some(EngineError::UnknownPolicy("b".to_owned())));
        let twice = vec![
            rule("a", |_| one_violation()),
            rule("a", |_| one_violation()),
        ];
        let error = Engine::new(twice, Settings::default()).err();
        assert_eq!(error, Some(EngineError::SameId("a".to_owned())));
    }

    #[test]
    fn metadata_gives_schema_and_defaults() {
        let rule = rule("a", |_| one_violation());
        let defaults = rule.meta().default_parameters();
        assert_eq!(defaults.get("flag").and_then(Node::as_bool), Some(false));
        assert_eq!(Cow::Borrowed("a"), rule.meta().id);
    }
}
