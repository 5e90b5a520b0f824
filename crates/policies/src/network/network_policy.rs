//! # What it checks
//!
//! For each direction in `directions`, a network policy of the same namespace selects the pods of
//! every workload. A policy's directions are its `policyTypes`; where it has none, `Ingress` always
//! and `Egress` if it has egress rules. Selectors are read as Kubernetes reads them.
//!
//! CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy and Calico's NetworkPolicy and
//! GlobalNetworkPolicy count, too. Pods in the network of their node (`hostNetwork: true`) are
//! beyond network policies and not asked.
//!
//! # Why
//!
//! Without a network policy every pod of the cluster reaches every other. Whoever breaks into one
//! has the network of all.
//!
//! # Parameters
//!
//! - `directions`: the directions that must be restricted, `Ingress` and `Egress`. Default:
//!   `[Ingress]`.
//!
//! # How to fix
//!
//! Deny everything in the namespace, then allow what is needed:
//!
//! ```yaml
//! apiVersion: networking.k8s.io/v1
//! kind: NetworkPolicy
//! metadata: {name: default-deny}
//! spec:
//!   podSelector: {}
//!   policyTypes: [Ingress]
//! ```
//!
//! # Controls
//!
//! - NSA/CISA Kubernetes Hardening Guide 1.2: Network separation and hardening, Network policies
//! - CIS Kubernetes Benchmark: 5.3.2

use std::borrow::Cow;

use serde_json::json;
use stagegate_core::{
    Context, Control, Enforcement, KindPattern, Labels, Matches, Meta, Node, Object, Policy,
    PolicyError, Scope, Severity, Violation, selects, selects_keys,
};

use crate::calico;
use crate::pods::{TEMPLATE, at_pod_labels, pod_labels, template_of};

struct NetworkPolicy(Meta);

/// The groups of Kubernetes' own NetworkPolicies, the old one among them.
const KUBERNETES: [&str; 2] = ["networking.k8s.io", "extensions"];
/// Those of Calico's, through its API server and without it.
const CALICO: [&str; 2] = ["projectcalico.org", "crd.projectcalico.org"];
const CILIUM: (&str, &str) = ("cilium.io", "CiliumNetworkPolicy");
const CILIUM_CLUSTERWIDE: (&str, &str) = ("cilium.io", "CiliumClusterwideNetworkPolicy");

pub(crate) fn policy() -> impl Policy {
    NetworkPolicy(Meta {
        severity: Severity::Medium,
        strict: Some(Enforcement::Deny),
        scope: Scope::Stage,
        by_namespace: true,
        matches: Matches::Workloads,
        parameters: crate::parameters(json!({
            "directions": {
                "type": "array",
                "items": {"enum": ["Ingress", "Egress"]},
                "default": ["Ingress"],
                "description": "the directions that must be restricted",
            },
        })),
        help: Cow::Borrowed(
            "add a NetworkPolicy to the namespace, such as one that denies everything \
             (`podSelector: {}`), and allow what is needed",
        ),
        controls: vec![
            Control::new(
                "NSA/CISA Kubernetes Hardening Guide 1.2",
                "Network policies",
            ),
            Control::new("CIS Kubernetes Benchmark", "5.3.2"),
        ],
        ..Meta::native(
            "network-policy",
            "network",
            "A network policy restricts what reaches the pods of every workload",
            include_str!("network_policy.rs"),
        )
    })
}

/// The pods of a workload, as policies look for them.
struct Pods<'a> {
    labels: Labels<'a>,
    namespace: &'a str,
    namespace_labels: Labels<'a>,
}

impl Policy for NetworkPolicy {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn neighbours(&self, _: &Node) -> Vec<KindPattern> {
        let kubernetes = KUBERNETES.map(|group| (group, "NetworkPolicy"));
        let calico = CALICO.iter().flat_map(|group| {
            let kinds = ["NetworkPolicy", "GlobalNetworkPolicy"];
            kinds.map(|kind| (*group, kind))
        });
        let others = [
            CILIUM,
            CILIUM_CLUSTERWIDE,
            ("", "Namespace"),
            (TEMPLATE.group, TEMPLATE.kind),
        ];
        let all = kubernetes.into_iter().chain(calico).chain(others);
        all.map(|(group, kind)| KindPattern::named(group, kind))
            .collect()
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let Some(object) = cx.object() else {
            return Ok(Vec::new());
        };
        let Some(labels) = pod_labels(cx, object) else {
            return Ok(Vec::new());
        };
        if is_on_the_host(template_of(cx, object)) {
            return Ok(Vec::new());
        }
        let namespace = object.namespace().name();
        let pods = Pods {
            labels,
            namespace,
            namespace_labels: crate::namespace_labels(cx, namespace),
        };
        let missing = cx
            .strings("directions")
            .filter(|direction| !is_restricted(cx, object, &pods, direction));
        let violation = |direction| {
            let mut violation = missing_policy(object, direction);
            violation.key = format!("{}={direction}", violation.key);
            violation.in_an_open_world(cx.gap(object))
        };
        Ok(missing.map(violation).collect())
    }
}

fn missing_policy(object: &Object, direction: &str) -> Violation {
    let flow = match direction {
        "Egress" => "what its pods reach",
        _ => "what reaches its pods",
    };
    let message = format!(
        "no network policy restricts {flow} ({})",
        direction.to_lowercase()
    );
    at_pod_labels(object, message)
}

fn is_on_the_host(object: &Object) -> bool {
    object
        .pod_template()
        .and_then(|pod| pod.spec())
        .and_then(|spec| spec.get("hostNetwork"))
        .and_then(Node::as_bool)
        .unwrap_or_default()
}

fn is_restricted(cx: &Context<'_>, object: &Object, pods: &Pods<'_>, direction: &str) -> bool {
    let kubernetes = || {
        KUBERNETES.iter().any(|group| {
            let kind = (*group, "NetworkPolicy");
            cx.may_select(object, kind, &["spec", "podSelector"], &pods.labels)
                .filter_map(|policy| policy.node.get("spec"))
                .any(|spec| kubernetes_restricts(spec, pods, direction))
        })
    };
    let cilium = || {
        let namespaced = cx.beside(object, CILIUM.0, CILIUM.1);
        let clusterwide = cx.of_kind(CILIUM_CLUSTERWIDE.0, CILIUM_CLUSTERWIDE.1);
        namespaced.chain(clusterwide).any(|policy| {
            let one = policy.node.get("spec").into_iter();
            let many = policy.node.get("specs").map_or(&[][..], Node::items);
            one.chain(many)
                .any(|spec| cilium_restricts(spec, pods, direction))
        })
    };
    let calico = || {
        CALICO.iter().any(|group| {
            let namespaced = cx.beside(object, group, "NetworkPolicy");
            let global = cx.of_kind(group, "GlobalNetworkPolicy");
            namespaced
                .chain(global)
                .filter_map(|policy| policy.node.get("spec"))
                .any(|spec| calico_restricts(spec, pods, direction))
        })
    };
    kubernetes() || cilium() || calico()
}

/// Whether a list of rules has any.
fn has_rules(spec: &Node, key: &str) -> bool {
    spec.get(key).is_some_and(|rules| !rules.items().is_empty())
}

fn kubernetes_restricts(spec: &Node, pods: &Pods<'_>, direction: &str) -> bool {
    let types = spec.get("policyTypes").map_or(&[][..], Node::items);
    let has_direction = if types.is_empty() {
        direction == "Ingress" || has_rules(spec, "egress")
    } else {
        types.iter().any(|t| t.as_str() == Some(direction))
    };
    // An absent podSelector is an empty one: it is no pointer in the API.
    let selector = spec.get("podSelector");
    has_direction && selector.is_none_or(|s| selects(Some(s), &pods.labels))
}

/// A direction is restricted once a rule is given for it, whether it allows or denies.
/// Source: "Policy Enforcement Modes" in Cilium's documentation.
fn cilium_restricts(spec: &Node, pods: &Pods<'_>, direction: &str) -> bool {
    let section = direction.to_lowercase();
    let denies = format!("{section}Deny");
    let is_default_deny = spec
        .path(&["enableDefaultDeny", &section])
        .and_then(Node::as_bool)
        .unwrap_or(spec.get(&section).is_some() || spec.get(&denies).is_some());
    let Some(selector) = spec.get("endpointSelector") else {
        return false;
    };
    let value_of = |key: &str| {
        let key = key
            .strip_prefix("k8s:")
            .or(key.strip_prefix("any:"))
            .unwrap_or(key);
        let of_namespace = key.strip_prefix("io.cilium.k8s.namespace.labels.");
        match of_namespace {
            Some(key) => pods.namespace_labels.get(key),
            None if key == "io.kubernetes.pod.namespace" => Some(pods.namespace),
            None => pods.labels.get(key),
        }
    };
    is_default_deny && selects_keys(selector, &value_of)
}

fn calico_restricts(spec: &Node, pods: &Pods<'_>, direction: &str) -> bool {
    let types = spec.get("types").map_or(&[][..], Node::items);
    let has_direction = if types.is_empty() {
        let egress = has_rules(spec, "egress");
        match direction {
            "Ingress" => has_rules(spec, "ingress") || !egress,
            _ => egress,
        }
    } else {
        types.iter().any(|t| t.as_str() == Some(direction))
    };
    has_direction
        && expression_selects(spec, "selector", &|key| match key {
            "projectcalico.org/namespace" => Some(pods.namespace),
            "projectcalico.org/orchestrator" => Some("k8s"),
            _ => pods.labels.get(key),
        })
        && expression_selects(spec, "namespaceSelector", &|key| match key {
            "projectcalico.org/name" => Some(pods.namespace),
            _ => pods.namespace_labels.get(key),
        })
}

fn expression_selects<'l>(
    spec: &Node,
    key: &str,
    value_of: &dyn Fn(&str) -> Option<&'l str>,
) -> bool {
    let expression = spec.get(key).and_then(Node::as_str).unwrap_or_default();
    // What cannot be read is not held against anybody.
    calico::selects(expression, value_of).unwrap_or(true)
}
