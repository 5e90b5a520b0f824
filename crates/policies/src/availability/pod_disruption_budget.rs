//! # What it checks
//!
//! A PodDisruptionBudget of the same namespace selects the pods of every StatefulSet, and of every
//! Deployment and Argo Rollout that runs at least `minReplicas`. What counts is how many run at the
//! least: the minimum of the HorizontalPodAutoscaler or KEDA ScaledObject that scales the workload,
//! else its `replicas`, else 1. Workloads that are scaled to zero are not asked.
//!
//! Selectors are read as Kubernetes reads them: `matchLabels` and `matchExpressions` must all hold
//! for the labels of the pod template; an empty selector selects every pod of the namespace (none in
//! `policy/v1beta1`), an absent one none.
//!
//! # Why
//!
//! Draining a node evicts its pods. Without a budget all replicas of a service may be evicted at
//! once, however many there are, and a database loses its quorum to a routine upgrade.
//!
//! # Parameters
//!
//! - `minReplicas`: from how many replicas on Deployments and Rollouts need a budget. Default: 2.
//!
//! # How to fix
//!
//! ```yaml
//! apiVersion: policy/v1
//! kind: PodDisruptionBudget
//! metadata: {name: api}
//! spec:
//!   maxUnavailable: 1
//!   selector: {matchLabels: {app: api}}
//! ```
//!
//! # Controls
//!
//! - Kubernetes documentation: Specifying a Disruption Budget for your Application

use std::borrow::Cow;

use serde_json::json;
use stagegate_core::{
    Context, Enforcement, GroupKind, KindPattern, Labels, Matches, Meta, Node, Object, Policy,
    PolicyError, Scope, Severity, Violation, selects, selects_all,
};

use crate::pods::{SCALERS, TEMPLATE, at_pod_labels, effective_replicas, pod_labels};

struct PodDisruptionBudget(Meta);

const BUDGET: GroupKind = GroupKind::new("policy", "PodDisruptionBudget");

static KINDS: [GroupKind; 3] = [
    GroupKind::new("apps", "Deployment"),
    GroupKind::new("apps", "StatefulSet"),
    GroupKind::new("argoproj.io", "Rollout"),
];

pub(crate) fn policy() -> impl Policy {
    PodDisruptionBudget(Meta {
        severity: Severity::Medium,
        production: Some(Enforcement::Deny),
        scope: Scope::Stage,
        matches: Matches::Kinds(Cow::Borrowed(&KINDS)),
        parameters: crate::parameters(json!({
            "minReplicas": {
                "type": "integer",
                "minimum": 1,
                "maximum": i32::MAX,
                "default": 2,
                "description": "from how many replicas on a Deployment or Rollout needs a budget",
            },
        })),
        help: Cow::Borrowed(
            "add a PodDisruptionBudget that selects the labels of the pod template",
        ),
        ..Meta::native(
            "pod-disruption-budget",
            "availability",
            "A PodDisruptionBudget covers every StatefulSet and every service with replicas",
            include_str!("pod_disruption_budget.rs"),
        )
    })
}

impl Policy for PodDisruptionBudget {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn neighbours(&self, _: &Node) -> Vec<KindPattern> {
        let kinds = [TEMPLATE, BUDGET].into_iter().chain(SCALERS);
        kinds.map(|kind| KindPattern::of(&kind)).collect()
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let Some(object) = cx.object() else {
            return Ok(Vec::new());
        };
        let replicas = effective_replicas(cx, object);
        let is_stateful = object.reference.kind == "StatefulSet";
        let needed = if is_stateful {
            1
        } else {
            cx.integer("minReplicas")
        };
        if replicas < needed {
            return Ok(Vec::new());
        }
        let Some(labels) = pod_labels(cx, object) else {
            return Ok(Vec::new());
        };
        let kind = (BUDGET.group, BUDGET.kind);
        let mut budgets = cx.may_select(object, kind, &["spec", "selector"], &labels);
        if budgets.any(|budget| covers(budget, &labels)) {
            return Ok(Vec::new());
        }
        let message = if is_stateful {
            "no PodDisruptionBudget selects the pods of this StatefulSet".to_owned()
        } else {
            let run = if replicas == 1 {
                "replica runs"
            } else {
                "replicas run"
            };
            format!("{replicas} {run}, and no PodDisruptionBudget selects the pods")
        };
        let mut violation = at_pod_labels(object, message).in_an_open_world(cx.gap(object));
        if let Some(labels) = selected_labels(object) {
            violation = violation.help(format!(
                "add a PodDisruptionBudget with `selector: {{matchLabels: {{{labels}}}}}`"
            ));
        }
        Ok(vec![violation])
    }
}

fn covers(budget: &Object, labels: &Labels<'_>) -> bool {
    let selector = budget.node.path(&["spec", "selector"]);
    let is_beta = budget.reference.api_version == "policy/v1beta1";
    if is_beta && selector.is_some_and(selects_all) {
        return false;
    }
    selects(selector, labels)
}

/// What the workload selects its own pods by: what a budget would best select, too.
fn selected_labels(object: &Object) -> Option<String> {
    let labels = object.node.path(&["spec", "selector", "matchLabels"])?;
    let pair = |entry: &stagegate_core::Entry| {
        entry
            .node
            .as_str()
            .map(|value| format!("{}: {value}", entry.key))
    };
    let pairs: Option<Vec<String>> = labels.entries().iter().map(pair).collect();
    pairs.filter(|p| !p.is_empty()).map(|p| p.join(", "))
}
