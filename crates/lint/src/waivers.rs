//! Which waivers were used, and what is to be said about the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use stagegate_core::{
    Door, Enforcement, Engine, Finding, Mark, Object, ObjectRef, Stage, Verdict, Violation,
    WAIVER_EXPIRED, WAIVER_UNUSED, WAIVER_WITHOUT_REASON, WaivedBy, Waiver, waive_pointer,
};
use stagegate_render::Tree;

/// The accounting of a run.
#[derive(Default)]
pub(crate) struct Accounts {
    /// Positions of the configuration's waivers that waived something.
    used: BTreeSet<usize>,
    /// By the place of an annotation and the policy in it: one object that has it, and whether it
    /// waived something in any stage.
    annotations: BTreeMap<(Mark, String), (Stage, Arc<Object>, bool)>,
    /// By waiver: the policies and objects that it waived, each with the stages in which it did.
    waived: BTreeMap<usize, BTreeMap<(String, ObjectRef), Vec<Stage>>>,
}

impl Accounts {
    /// Notes what a finding says of waivers.
    pub(crate) fn finding(&mut self, stage: &Stage, finding: &Finding) {
        let Some(WaivedBy::Configuration(waiver)) = finding.waiver else {
            return;
        };
        self.used.insert(waiver);
        if let Some(object) = &finding.object {
            let what = (finding.meta.id.to_string(), object.clone());
            let waived = self.waived.entry(waiver).or_default();
            waived.entry(what).or_default().push(stage.clone());
        }
    }

    /// Notes what a verdict says of the object's annotation.
    pub(crate) fn annotations(&mut self, stage: &Stage, object: &Arc<Object>, verdict: &Verdict) {
        for (policy, used) in &verdict.annotations {
            let mark = object.node.nearest(&waive_pointer()).mark;
            let entry = self
                .annotations
                .entry((mark, policy.clone()))
                .or_insert_with(|| (stage.clone(), Arc::clone(object), false));
            entry.2 |= used;
        }
    }

    /// The configuration's waivers that are expired, say no reason, or (in a full run) waived
    /// nothing: the policy that stands for it, the place, what is wrong.
    pub(crate) fn wrong_waivers(
        &self,
        waivers: &[Waiver],
        today: Option<Date>,
        is_full: bool,
    ) -> Vec<(&'static str, Mark, Violation)> {
        let mut wrong = Vec::new();
        for (i, waiver) in waivers.iter().enumerate() {
            let mut tell = |policy, message: String| {
                let violation = Violation::of_file(waiver.identity(), message);
                wrong.push((policy, waiver.mark, violation));
            };
            if waiver.reason.is_none() {
                let message = "this waiver has no reason, so it waives nothing";
                tell(WAIVER_WITHOUT_REASON, message.to_owned());
            } else if let (true, Some(last)) = (waiver.is_expired(today), waiver.expires) {
                let message = format!("this waiver expired: its last day was {last}");
                tell(WAIVER_EXPIRED, message);
            } else if is_full && !self.used.contains(&i) {
                tell(WAIVER_UNUSED, "this waiver waives nothing".to_owned());
            }
        }
        wrong
    }

    /// Annotations that waived nothing in any stage.
    pub(crate) fn unused_annotations(&self) -> Vec<(Stage, Arc<Object>, Violation)> {
        let unused = self.annotations.iter().filter(|(_, (_, _, used))| !used);
        unused
            .map(|((_, policy), (stage, object, _))| {
                let message = format!("the annotation waives {policy}, which finds nothing here");
                let mut violation = Violation::of_file(format!("waive={policy}"), message);
                violation.pointer = waive_pointer();
                (stage.clone(), Arc::clone(object), violation)
            })
            .collect()
    }

    /// What is to be known about waivers that hold offline only: where the same policy denies at
    /// admission, the cluster refuses what was let through here.
    pub(crate) fn notes(&self, engine: &Engine, tree: &Tree) -> Vec<String> {
        let mut notes = Vec::new();
        for (i, waived) in &self.waived {
            let Some(waiver) = engine.settings().waivers.get(*i) else {
                continue;
            };
            if !waiver.is_offline_only() {
                continue;
            }
            let is_denied = |policy: &str, stages: &[Stage]| {
                stages.iter().any(|stage| {
                    engine.enforcement(policy, stage, Door::Admission) == Enforcement::Deny
                })
            };
            let denied: Vec<&(String, ObjectRef)> = waived
                .iter()
                .filter(|((policy, _), stages)| is_denied(policy, stages))
                .map(|(what, _)| what)
                .collect();
            if denied.is_empty() {
                continue;
            }
            let policies: BTreeSet<&str> = denied.iter().map(|(p, _)| p.as_str()).collect();
            let objects: BTreeSet<String> = denied.iter().map(|(_, o)| pattern(o)).collect();
            let at = tree.sources().locate(waiver.mark);
            let at = at.map_or_else(String::new, |at| {
                format!(" at {}:{}:{}", at.path, at.line, at.column)
            });
            notes.push(format!(
                "the waiver{at} names paths, which hold offline only: at admission the same is denied \
                 ({}); what holds in both: `objects: [{}]`",
                policies.into_iter().collect::<Vec<_>>().join(", "),
                objects.into_iter().collect::<Vec<_>>().join(", "),
            ));
        }
        notes
    }
}

/// An object as an entry of `objects:`.
fn pattern(object: &ObjectRef) -> String {
    let namespace = object.namespace.as_deref();
    let namespace = namespace.map_or_else(String::new, |n| format!(", namespace: {n}"));
    format!(
        "{{kind: {}, name: {}{namespace}}}",
        object.kind, object.name
    )
}
