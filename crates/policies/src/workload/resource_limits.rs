//! # What it checks
//!
//! Every container sets a limit for each resource in `limits` to a positive quantity, and no
//! limit is below the request of the same resource. Init containers and native sidecars count;
//! ephemeral containers cannot have resources and do not.
//!
//! A limit of the whole pod (`spec.resources.limits`, Kubernetes 1.34 and later) stands in for
//! those of its containers. Quantities are compared as Kubernetes does: `0.5` is `500m`, `1k` is
//! less than `1Ki`.
//!
//! # Why
//!
//! A container without a memory limit can take the memory of every other pod of its node, and the
//! kernel then ends whichever it likes. Without a CPU limit a busy neighbour makes latency
//! unpredictable. The API server refuses a limit below its request, so it is better known before
//! the sync.
//!
//! # Parameters
//!
//! - `limits`: the resources that must have a limit. Default: `[memory, cpu]`. Teams that run
//!   without CPU limits on purpose set `[memory]`.
//! - `limitRangeDefaults`: `true` lets the default limit of a LimitRange in the same namespace
//!   count. Default: `false`, because it is not seen in the manifest, and goes with the LimitRange.
//!
//! # How to fix
//!
//! ```yaml
//! resources:
//!   requests: {cpu: 100m, memory: 256Mi}
//!   limits: {cpu: 500m, memory: 256Mi}
//! ```
//!
//! # Controls
//!
//! - NSA/CISA Kubernetes Hardening Guide 1.2: Resource policies
//! - Kubernetes documentation: Resource Management for Pods and Containers

use std::borrow::Cow;

use stagegate_core::{
    Context, Cursor, KindPattern, Meta, Node, Policy, PolicyError, Quantity, Severity, Violation,
};

use crate::resources::{self, Bound, ResourceRule};

struct ResourceLimits(Meta);

const RULE: ResourceRule = ResourceRule {
    field: "limits",
    noun: "limit",
};

pub(crate) fn policy() -> impl Policy {
    ResourceLimits(resources::meta(
        Meta {
            severity: Severity::High,
            help: Cow::Borrowed("set resources.limits in the container"),
            ..Meta::native(
                "resource-limits",
                "workload",
                "Every container has limits for memory and CPU",
                include_str!("resource_limits.rs"),
            )
        },
        RULE.field,
        "the resources that must have a limit",
    ))
}

impl Policy for ResourceLimits {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn neighbours(&self, parameters: &Node) -> Vec<KindPattern> {
        resources::neighbours(parameters)
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let mut violations = Vec::new();
        resources::for_each_container(cx, &mut |container, pod| {
            let resources = container.cursor.member("resources");
            let limits = resources.member(RULE.field);
            for resource in cx.strings(RULE.field) {
                let limit = limits.member(resource);
                match resources::bound(&limit) {
                    Bound::Absent if pod.sets(RULE.field, resource) => {}
                    Bound::Absent
                        if pod
                            .limit_range_default(cx, resources::DEFAULT_LIMIT, resource)
                            .is_some() => {}
                    Bound::Absent => violations.push(RULE.missing(container, &limit, resource)),
                    Bound::Bad(why) => violations.push(RULE.bad(container, &limit, resource, &why)),
                    Bound::Set(_) => {}
                }
            }
            violations.extend(below_request(container.name, &resources, &|resource| {
                pod.limit_range_default(cx, resources::DEFAULT_LIMIT, resource)
            }));
        });
        resources::with_pod_resources(cx, &mut |pod| {
            violations.extend(below_request("", pod, &|_| None));
        });
        Ok(violations)
    }
}

/// Limits that are smaller than the request of the same resource, of a container or of the pod
/// (whose name is empty). `default` is the limit that is filled in where there is none.
fn below_request(
    name: &str,
    resources: &Cursor<'_>,
    default: &dyn Fn(&str) -> Option<Quantity>,
) -> Vec<Violation> {
    let limits = resources.member("limits");
    let requests = resources.member("requests");
    let mut violations = Vec::new();
    for entry in requests.node().map_or(&[][..], Node::entries) {
        let request = requests.member(&entry.key);
        let limit = limits.member(&entry.key);
        let Bound::Set(requested) = resources::bound(&request) else {
            continue;
        };
        let (limited, written) = match (resources::bound(&limit), limit.node()) {
            (Bound::Set(limited), Some(node)) => (limited, Quantity::written(node)),
            (Bound::Absent, _) => match default(&entry.key) {
                Some(limited) => (limited, format!("{limited} (the LimitRange's default)")),
                None => continue,
            },
            // A limit that is no positive quantity is told already.
            _ => continue,
        };
        if limited < requested {
            let wanted = Quantity::written(&entry.node);
            let message = format!(
                "{} has a {} limit of {written}, below its request of {wanted}",
                resources::owner(name),
                entry.key
            );
            let help = format!("raise the limit to at least {wanted}, or lower the request");
            violations.push(
                Violation::of_value(&limit, &written, message)
                    .help(help)
                    .related(&request, "requested here".to_owned()),
            );
        }
    }
    violations
}
