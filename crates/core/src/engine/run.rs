//! One review, from its subject to its verdict.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Configured, Engine};
use crate::update::is_finishing;
use crate::waiver::{Annotation, Asked, waive_pointer};
use crate::{
    Context, Derived, Door, Enforcement, Exhaustion, FileSubject, Finding, Limits, Object,
    ObjectRef, Operation, PolicyError, PolicyFailure, Reported, Review, Scope, Status, Subject,
    Turn, Verdict, Violation, WAIVER_UNUSED, WAIVER_WITHOUT_REASON, WaivedBy, World,
};

/// One review.
pub(super) struct Run<'a> {
    engine: &'a Engine,
    world: &'a World<'a>,
    limits: &'a Limits<'a>,
    turn: Turn,
    derived: Derived,
    verdict: Verdict,
}

impl<'a> Run<'a> {
    pub(super) fn new(engine: &'a Engine, world: &'a World<'a>, limits: &'a Limits<'a>) -> Self {
        Run {
            engine,
            world,
            limits,
            turn: Turn::Subject,
            derived: Derived::default(),
            verdict: Verdict::default(),
        }
    }

    pub(super) fn judge(mut self, subject: &Subject<'_>) -> Verdict {
        match subject {
            Subject::Review(review) => self.request(review),
            Subject::File(file) => self.file(file),
            Subject::Reported(reported) => self.reported(reported),
        }
        self.finish()
    }

    fn request(&mut self, review: &Review<'_>) {
        let Some(object) = review.object.or(review.old_object) else {
            return;
        };
        if is_finishing(review) || review.operation == Operation::Other {
            return;
        }
        let mut ran: BTreeSet<&str> = BTreeSet::new();
        let mut denying: Vec<&Configured> = Vec::new();
        for policy in self.engine.of_kind(&object.reference) {
            let meta = &policy.meta;
            let needs_neighbours = meta.scope.compares_objects();
            if !meta.takes(review.operation, review.subresource)
                || (needs_neighbours && self.world.inventory.is_none())
            {
                continue;
            }
            let before = self.verdict.findings.len();
            if self.policy(policy, &Subject::Review(*review), Some(object)) {
                ran.insert(&meta.id);
            }
            self.waive(before, object);
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
        let mut past = Run::new(self.engine, self.world, self.limits);
        past.turn = Turn::Before;
        past.policy(policy, &Subject::Review(before), Some(old));
        past.waive(0, old);
        let there: BTreeSet<&str> = past
            .verdict
            .findings
            .iter()
            .filter(|f| f.waiver != Some(WaivedBy::Annotation))
            .map(|f| f.violation.key.as_str())
            .collect();
        // Where nobody could look, nobody knows what was there.
        let unknown = past.verdict.errors.first().map(|e| e.enforcement);
        for finding in &mut self.verdict.findings {
            if finding.meta.id != policy.meta.id {
                continue;
            }
            if there.contains(finding.violation.key.as_str()) {
                finding.enforcement = finding.enforcement.min(Enforcement::Warn);
            } else if let Some(unknown) = unknown {
                finding.enforcement = finding.enforcement.min(unknown);
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
        self.stand_for(reported.policy, reported.violation.clone(), reported.object);
        match reported.object {
            Some(object) => self.waive(0, object),
            None => self.waive_in_file(0, reported.path),
        }
    }

    /// Takes a violation that was found elsewhere as one of the policy that stands for it.
    fn stand_for(&mut self, policy: &str, violation: Violation, object: Option<&Object>) {
        if let Some(policy) = self.engine.policy(policy) {
            let enforcement = self.effective(policy);
            if enforcement != Enforcement::Off {
                self.found(policy, enforcement, vec![violation], object);
            }
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
        object: Option<&Object>,
    ) -> bool {
        let enforcement = self.effective(policy);
        if enforcement == Enforcement::Off {
            return false;
        }
        let settings = &self.engine.settings;
        let stage = &self.world.stage.name;
        let parameters = policy.parameters_in(self.world.stage);
        let own = settings.policies.get(&*policy.meta.id);
        let is_incoming = matches!(subject, Subject::Review(review) if review.object.is_some());
        let context = Context {
            subject,
            world: self.world,
            settings,
            parameters: &parameters.node,
            parameters_derived: &parameters.derived,
            enforcement_is_configured: own.is_some_and(|own| {
                own.enforcement.is_some()
                    || own
                        .stages
                        .get(stage)
                        .is_some_and(|s| s.enforcement.is_some())
            }),
            derived: &self.derived,
            // Offline the neighbours hold the subject itself, and what is deleted is not incoming.
            incoming: object.filter(|_| self.world.door == Door::Admission && is_incoming),
            policy: &*policy.policy,
        };
        let Limits {
            stop,
            exhaustion,
            observer,
            ..
        } = *self.limits;
        let result = if let Some(known) = observer.and_then(|o| o.known(&policy.meta, self.turn)) {
            Ok(known)
        } else if self.limits.overloaded {
            Err(PolicyError::Overloaded)
        } else if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            Err(PolicyError::Stopped)
        } else if exhaustion.is_some_and(|e| e.is_spent(&policy.meta.id)) {
            Err(PolicyError::Exhausted(format!(
                "not evaluated: it used up its budget on {} other objects",
                Exhaustion::MOST
            )))
        } else {
            if let Some(observer) = observer {
                observer.begins(&policy.meta, self.turn);
            }
            // Policies only read: nothing half-changed can be seen after a panic.
            let answer = catch_unwind(AssertUnwindSafe(|| policy.policy.review(&context)))
                .unwrap_or_else(|panic| Err(PolicyError::Panicked(panic_message(&*panic))));
            if let Some(observer) = observer {
                observer.ended(&policy.meta, self.turn, &answer);
            }
            answer
        };
        match result {
            Ok(violations) => {
                self.found(policy, enforcement, violations, object);
                true
            }
            Err(error) => {
                if let (PolicyError::Exhausted(_), Some(exhaustion)) = (&error, exhaustion) {
                    exhaustion.count(&policy.meta.id);
                }
                let configured = own.and_then(|own| match error {
                    PolicyError::Stopped => own.on_timeout,
                    PolicyError::Overloaded => own.on_overload,
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

    fn found(
        &mut self,
        policy: &Configured,
        enforcement: Enforcement,
        violations: Vec<Violation>,
        object: Option<&Object>,
    ) {
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
                    object: object.map(|object| object.reference.clone()),
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
    fn waive(&mut self, from: usize, object: &Object) {
        if self.verdict.findings.len() == from {
            return;
        }
        let annotation = Annotation::of(object).filter(|a| a.has_reason);
        let (world, files) = (self.world, self.world.files);
        for i in from..self.verdict.findings.len() {
            let finding = &self.verdict.findings[i];
            let mark = || object.node.nearest(&finding.violation.pointer).mark;
            let path = || files?.path(mark().file);
            let by_annotation = || {
                let ids = &annotation.as_ref()?.ids;
                let meta = &finding.meta;
                let honoured = ids.contains(&&*meta.id)
                    && !meta.guarded
                    && world.stage.lets_annotation_waive(&meta.id);
                honoured.then_some(WaivedBy::Annotation)
            };
            let waiver = self
                .by_configuration(finding, Some(&object.reference), &path)
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
                Some(policy) if policy.meta.always => Some(format!(
                    "{id} cannot be waived; the configuration can say what is not meant to be \
                     judged, under `unrendered`"
                )),
                Some(policy) if policy.meta.guarded => Some(format!(
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
                    let used = self
                        .verdict
                        .findings
                        .iter()
                        .any(|finding| finding.meta.id == *id && finding.waiver.is_some());
                    self.verdict.annotations.push(((*id).to_owned(), used));
                }
                None => {}
            }
        }
        for (policy, key, message) in wrong {
            let mut violation = Violation::of_file(format!("waive={key}"), message);
            violation.pointer = waive_pointer();
            self.stand_for(policy, violation, Some(object));
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

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
