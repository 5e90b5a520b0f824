//! What the engine does with policies, settings and waivers.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;

use super::*;
use crate::{
    Context, Cursor, Inventory, KindPattern, NameGlob, Object, Observer, Operation, PathGlob,
    PolicyError, PolicySettings, Review, SeedSet, StageName, StageOverride, Status, Turn,
    Violation, Waiver,
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
fn where_there_is_too_much_to_judge_each_policy_says_what_happens() {
    let own = PolicySettings {
        on_overload: Some(Enforcement::Audit),
        ..PolicySettings::default()
    };
    let settings = Settings {
        policies: [("a".to_owned(), own)].into(),
        ..Settings::default()
    };
    let overloaded = Limits {
        overloaded: true,
        ..Limits::default()
    };
    let policies = || vec![rule("a", |_| one_violation())];
    let verdict = judge(&engine(policies(), settings), &stage("prod"), &overloaded);
    assert!(verdict.allowed && verdict.findings.is_empty());
    assert_eq!(verdict.errors[0].error, PolicyError::Overloaded);
    assert_eq!(verdict.errors[0].enforcement, Enforcement::Audit);
    let unconfigured = engine(policies(), Settings::default());
    assert!(!judge(&unconfigured, &stage("prod"), &overloaded).allowed);
    assert!(judge(&unconfigured, &stage("dev"), &overloaded).allowed);
}

/// Keeps what was answered, and gives it back.
#[derive(Default)]
struct Memory(std::sync::Mutex<Vec<Told>>);

type Told = (String, Turn, Option<Vec<Violation>>);

impl Observer for Memory {
    fn begins(&self, policy: &Arc<Meta>, turn: Turn) {
        let mut told = self.0.lock().unwrap();
        told.push((policy.id.to_string(), turn, None));
    }

    fn ended(&self, _: &Arc<Meta>, turn: Turn, answer: &Result<Vec<Violation>, PolicyError>) {
        let mut told = self.0.lock().unwrap();
        let last = told.last_mut().unwrap();
        assert_eq!(last.1, turn);
        last.2 = answer.clone().ok();
    }

    fn known(&self, policy: &Meta, turn: Turn) -> Option<Vec<Violation>> {
        let told = self.0.lock().unwrap();
        let own = told
            .iter()
            .find(|(id, t, _)| *id == *policy.id && *t == turn);
        own.and_then(|(_, _, answer)| answer.clone())
    }
}

#[test]
fn who_follows_a_review_can_end_it_with_what_is_known() {
    let policies = vec![
        rule("a", |_| one_violation()),
        rule("b", |_| panic!("boom")),
        rule("c", |_| Ok(Vec::new())),
    ];
    let engine = engine(policies, Settings::default());
    let memory = Memory::default();
    let limits = Limits {
        observer: Some(&memory),
        ..Limits::default()
    };
    let first = judge(&engine, &stage("prod"), &limits);
    assert_eq!(memory.0.lock().unwrap().len(), 3);
    // As if `b` had never come to an end: the others' answers hold, and only `b` was not in time.
    let stop = AtomicBool::new(true);
    let second = judge(
        &engine,
        &stage("prod"),
        &Limits {
            stop: Some(&stop),
            ..limits
        },
    );
    assert_eq!(second.findings.len(), first.findings.len());
    let errors: Vec<_> = second
        .errors
        .iter()
        .map(|e| (&*e.meta.id, &e.error))
        .collect();
    assert_eq!(errors, [("b", &PolicyError::Stopped)]);
    assert_eq!(memory.0.lock().unwrap().len(), 3, "nobody was asked again");
}

#[test]
fn where_nobody_could_look_at_the_old_object_the_configuration_decides() {
    // Denies what is asked for, and fails at what there is.
    let answer: Answer = |cx| match cx.subject {
        Subject::Review(review) if review.old_object.is_some() => one_violation(),
        _ => Err(PolicyError::Failed("no".to_owned())),
    };
    let judged = |on_error: Option<Enforcement>| {
        let own = PolicySettings {
            on_error,
            ..PolicySettings::default()
        };
        let settings = Settings {
            policies: [("a".to_owned(), own)].into(),
            ..Settings::default()
        };
        let engine = engine(vec![rule("a", answer)], settings);
        let object = object(json!({}));
        let review = Review {
            operation: Operation::Update,
            old_object: Some(&object),
            ..Review::create(&object)
        };
        let prod = stage("prod");
        judge_review(&engine, &prod, Door::Admission, review, &Limits::default())
    };
    assert!(!judged(None).allowed);
    assert!(judged(Some(Enforcement::Warn)).allowed);
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

/// A policy that asks for objects of a kind, and says that it does, or does not.
struct Looks(Meta, bool);

impl Policy for Looks {
    fn meta(&self) -> &Meta {
        &self.0
    }
    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        Ok(cx
            .of_kind("", "Secret")
            .flat_map(|_| one_violation().unwrap())
            .collect())
    }
    fn neighbours(&self, parameters: &Node) -> Vec<KindPattern> {
        let flag = parameters.get("flag").and_then(Node::as_bool);
        let says = self.1 && flag == Some(false);
        says.then(|| KindPattern::named("", "Secret"))
            .into_iter()
            .collect()
    }
}

#[test]
fn what_is_looked_at_is_declared_by_the_policies_that_are_on() {
    let looks = |id: &'static str, declares| -> Box<dyn Policy> {
        let meta = rule(id, |_| one_violation()).meta().clone();
        Box::new(Looks(meta, declares))
    };
    let settings = |enforcement, parameters: Option<serde_json::Value>| {
        let own = PolicySettings {
            enforcement,
            parameters: parameters.map(|p| serde_json::from_value(p).unwrap()),
            ..PolicySettings::default()
        };
        Settings {
            policies: [("a".to_owned(), own)].into(),
            ..Settings::default()
        }
    };
    let declared = |settings: Settings| {
        let engine = engine(
            vec![looks("a", true), rule("b", |_| one_violation())],
            settings,
        );
        engine.neighbours(&stage("dev"), Door::Admission)
    };
    let secrets: BTreeSet<KindPattern> = [KindPattern::named("", "Secret")].into();
    assert_eq!(declared(settings(None, None)), secrets);
    assert!(declared(settings(Some(Enforcement::Off), None)).is_empty());
    assert!(declared(settings(None, Some(json!({"flag": true})))).is_empty());
    // Whoever looks at something else is told so where mistakes are looked for.
    let undeclared = engine(vec![looks("a", false)], Settings::default());
    let verdict = judge(&undeclared, &stage("dev"), &Limits::default());
    assert!(
        matches!(&verdict.errors[0].error, PolicyError::Panicked(why) if why.contains("Secret"))
    );
}
