//! # What it checks
//!
//! ServiceMonitor, PodMonitor, Probe, ScrapeConfig and PrometheusRule carry the labels by which
//! Prometheus discovers them. Which labels those are is said, in this order, by
//!
//! 1. the `Prometheus` and `PrometheusAgent` objects of the stage: `serviceMonitorSelector`,
//!    `podMonitorSelector`, `probeSelector`, `scrapeConfigSelector` and `ruleSelector`, each with its
//!    namespace selector. An empty selector selects everything, an absent one nothing;
//! 2. the parameter `labels`;
//! 3. the default of the chart kube-prometheus-stack: `release: kube-prometheus-stack`, and on
//!    PrometheusRules `prometheus: kube-prometheus-stack` and `role: alert-rules`, too. Then a
//!    violation only warns, unless its enforcement is configured: nobody said so.
//!
//! # Why
//!
//! A monitor or rule without these labels is accepted by the API server and ignored by Prometheus.
//! Nothing fails; the metrics are not there and the alert never fires.
//!
//! # Parameters
//!
//! - `labels`: the labels, for all kinds or by kind. A value is a text, a list of texts of which one
//!   must fit, or a pattern: with `*` or `?` a glob, with `^` at its beginning a regular expression.
//!   No default: see above.
//!
//! ```yaml
//! labels:
//!   ServiceMonitor: {release: monitoring}
//!   PrometheusRule: {release: monitoring, role: [alert-rules, recording-rules]}
//! ```
//!
//! # How to fix
//!
//! ```yaml
//! metadata:
//!   labels: {release: kube-prometheus-stack}
//! ```
//!
//! # Controls
//!
//! - Prometheus Operator documentation: API reference, PrometheusSpec

use std::borrow::Cow;

use regex::Regex;
use serde_json::json;
use stagegate_core::{
    Context, Cursor, Enforcement, GroupKind, KindPattern, Matches, Meta, NameGlob, Node, Object,
    Pointer, Policy, PolicyError, Scope, Severity, Violation, selects,
};

struct PrometheusLabels(Meta);

const GROUP: &str = "monitoring.coreos.com";
/// The kinds that select what they scrape.
const DISCOVERING: [&str; 2] = ["Prometheus", "PrometheusAgent"];

static KINDS: [GroupKind; 5] = [
    GroupKind::new(GROUP, "PodMonitor"),
    GroupKind::new(GROUP, "Probe"),
    GroupKind::new(GROUP, "PrometheusRule"),
    GroupKind::new(GROUP, "ScrapeConfig"),
    GroupKind::new(GROUP, "ServiceMonitor"),
];

/// The selectors of a Prometheus object by the kind that they are for.
const SELECTORS: [(&str, &str, &str); 5] = [
    (
        "ServiceMonitor",
        "serviceMonitorSelector",
        "serviceMonitorNamespaceSelector",
    ),
    (
        "PodMonitor",
        "podMonitorSelector",
        "podMonitorNamespaceSelector",
    ),
    ("Probe", "probeSelector", "probeNamespaceSelector"),
    (
        "ScrapeConfig",
        "scrapeConfigSelector",
        "scrapeConfigNamespaceSelector",
    ),
    ("PrometheusRule", "ruleSelector", "ruleNamespaceSelector"),
];

pub(crate) fn policy() -> impl Policy {
    let value = json!({"anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
    ]});
    let by_kind = json!({"type": "object", "additionalProperties": value});
    let kinds: serde_json::Map<String, serde_json::Value> = KINDS
        .iter()
        .map(|kind| (kind.kind.to_owned(), by_kind.clone()))
        .collect();
    PrometheusLabels(Meta {
        severity: Severity::Medium,
        enforcement: Enforcement::Deny,
        scope: Scope::Stage,
        matches: Matches::Kinds(Cow::Borrowed(&KINDS)),
        parameters: crate::parameters(json!({
            "labels": {
                "type": "object",
                "properties": kinds,
                "additionalProperties": value,
                "description": "the labels by which Prometheus discovers, for all kinds or by kind",
            },
        })),
        help: Cow::Borrowed("add the labels to metadata.labels"),
        ..Meta::native(
            "prometheus-labels",
            "observability",
            "Monitors and rules carry the labels by which Prometheus discovers them",
            include_str!("prometheus_labels.rs"),
        )
    })
}

impl Policy for PrometheusLabels {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn neighbours(&self, _: &Node) -> Vec<KindPattern> {
        let namespace = KindPattern::named("", "Namespace");
        let discovering = DISCOVERING.map(|kind| KindPattern::named(GROUP, kind));
        discovering.into_iter().chain([namespace]).collect()
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let Some(object) = cx.object() else {
            return Ok(Vec::new());
        };
        let kind = object.reference.kind.as_str();
        let Some((_, selector, namespaces)) = SELECTORS.iter().find(|(of, _, _)| *of == kind)
        else {
            return Ok(Vec::new());
        };
        let discovering: Vec<&Object> = DISCOVERING
            .iter()
            .flat_map(|kind| cx.of_kind(GROUP, kind))
            // An agent has no rules.
            .filter(|p| kind != "PrometheusRule" || p.reference.kind == "Prometheus")
            .filter(|p| is_managed(p))
            .collect();
        if let Some(first) = discovering.first() {
            let is_discovered = discovering
                .iter()
                .any(|p| discovers(cx, p, object, selector, namespaces));
            if is_discovered {
                return Ok(Vec::new());
            }
            return Ok(vec![undiscovered(object, first, selector, namespaces)]);
        }
        Ok(match wanted(cx, kind) {
            Some(labels) => lacking(object, &labels).collect(),
            None => lacking(object, &default_labels(kind))
                .map(|violation| {
                    if cx.enforcement_is_configured {
                        violation
                    } else {
                        violation.at_most(Enforcement::Warn)
                    }
                })
                .collect(),
        })
    }
}

/// Without any selector for monitors the operator leaves the configuration to somebody else.
fn is_managed(prometheus: &Object) -> bool {
    SELECTORS
        .iter()
        .any(|(_, selector, _)| prometheus.node.path(&["spec", selector]).is_some())
}

fn discovers(
    cx: &Context<'_>,
    prometheus: &Object,
    object: &Object,
    selector: &str,
    namespaces: &str,
) -> bool {
    let spec = |key: &str| prometheus.node.path(&["spec", key]);
    if !selects(spec(selector), &object.labels()) {
        return false;
    }
    match spec(namespaces) {
        None => prometheus.shares_namespace(object),
        Some(selector) => {
            let name = object.namespace().name();
            selects(Some(selector), &crate::namespace_labels(cx, name))
        }
    }
}

fn undiscovered(
    object: &Object,
    prometheus: &Object,
    selector: &str,
    namespaces: &str,
) -> Violation {
    let root = Cursor::root(&object.node);
    let metadata = root.member("metadata");
    let labels = metadata.member("labels");
    let pointer = |key: &str| Pointer::root().join("spec").join(key);
    let kind = &object.reference.kind;
    let name = &prometheus.reference.name;
    let (message, place) = if prometheus.node.path(&["spec", selector]).is_none() {
        let message =
            format!("the Prometheus {name:?} discovers no {kind} at all: it has no {selector}");
        (message, selector)
    } else if selects(prometheus.node.path(&["spec", selector]), &object.labels()) {
        let message = format!(
            "the Prometheus {name:?} does not look into the namespace of this {kind} \
             ({namespaces})"
        );
        (message, namespaces)
    } else {
        let message =
            format!("the Prometheus {name:?} does not discover this {kind} by its labels");
        (message, selector)
    };
    Violation::at(&labels, message)
        .related_to(
            prometheus,
            &pointer(place),
            "it is said here what is discovered".to_owned(),
        )
        .help(format!("carry the labels that {selector} asks for"))
}

/// A label with the values that are right.
struct Wanted {
    label: String,
    values: Vec<String>,
}

fn default_labels(kind: &str) -> Vec<Wanted> {
    let mut labels = vec![("release", "kube-prometheus-stack")];
    if kind == "PrometheusRule" {
        labels.push(("prometheus", "kube-prometheus-stack"));
        labels.push(("role", "alert-rules"));
    }
    let wanted = |(label, value): (&str, &str)| Wanted {
        label: label.to_owned(),
        values: vec![value.to_owned()],
    };
    labels.into_iter().map(wanted).collect()
}

/// What is configured for a kind: what is said for it, else what is said for all. `None` where
/// nothing is configured at all.
fn wanted(cx: &Context<'_>, kind: &str) -> Option<Vec<Wanted>> {
    let labels = cx.parameters.get("labels")?;
    let of_map = |map: &Node| {
        map.entries()
            .iter()
            .filter(|entry| !KINDS.iter().any(|kind| kind.kind == entry.key))
            .map(|entry| {
                let one = entry.node.as_str().into_iter();
                let many = entry.node.items().iter().filter_map(Node::as_str);
                Wanted {
                    label: entry.key.to_string(),
                    values: one.chain(many).map(str::to_owned).collect(),
                }
            })
            .collect::<Vec<_>>()
    };
    let mut wanted = of_map(labels);
    if let Some(by_kind) = labels.get(kind) {
        for own in of_map(by_kind) {
            wanted.retain(|general| general.label != own.label);
            wanted.push(own);
        }
    }
    Some(wanted)
}

/// One violation for each label that is absent or has another value.
fn lacking<'a>(object: &'a Object, wanted: &'a [Wanted]) -> impl Iterator<Item = Violation> + 'a {
    wanted.iter().filter_map(move |wanted| {
        let root = Cursor::root(&object.node);
        let metadata = root.member("metadata");
        let labels = metadata.member("labels");
        let label = labels.member(&wanted.label);
        let value = label.node().and_then(Node::as_str);
        let values = wanted.values.join(", ");
        match value {
            Some(value) if wanted.values.iter().any(|v| fits(v, value)) => None,
            Some(value) => {
                let message = format!(
                    "the label {} is {value:?}, and Prometheus discovers by {values}",
                    wanted.label
                );
                Some(Violation::of_value(&label, value, message))
            }
            None => {
                let message = format!(
                    "the label {} is missing, by which Prometheus discovers ({values})",
                    wanted.label
                );
                Some(Violation::at(&label, message))
            }
        }
        .map(|violation| {
            violation.help(match wanted.values.as_slice() {
                [one] if !is_pattern(one) => {
                    format!("add `{}: {one}` to metadata.labels", wanted.label)
                }
                _ => format!("give the label {} a value that fits {values}", wanted.label),
            })
        })
    })
}

fn is_pattern(value: &str) -> bool {
    value.starts_with('^') || value.contains(['*', '?'])
}

/// No label's value holds a character that makes a pattern.
fn fits(pattern: &str, value: &str) -> bool {
    if pattern.starts_with('^') {
        Regex::new(pattern).is_ok_and(|regex| regex.is_match(value))
    } else if pattern.contains(['*', '?']) {
        NameGlob::new(pattern).is_ok_and(|glob| glob.matches(value))
    } else {
        pattern == value
    }
}
