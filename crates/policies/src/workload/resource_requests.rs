//! # What it checks
//!
//! Every container sets a request for each resource in `requests` to a positive quantity. The
//! value that the API server would fill in is judged: a container that sets only a limit requests
//! as much. Init containers and native sidecars count; ephemeral containers cannot have resources
//! and do not.
//!
//! A request of the whole pod (`spec.resources`, Kubernetes 1.34 and later) stands in for those of
//! its containers.
//!
//! # Why
//!
//! The scheduler places pods by their requests alone. Without them it fills a node until the
//! kernel has to end processes, a HorizontalPodAutoscaler has nothing to measure utilisation
//! against, and the pod is the first to be evicted.
//!
//! # Parameters
//!
//! - `requests`: the resources that must be requested. Default: `[memory, cpu]`.
//! - `limitRangeDefaults`: `true` lets the default request of a LimitRange in the same namespace
//!   count, also where Kubernetes derives it from its default limit, maximum or minimum. Default:
//!   `false`.
//!
//! # How to fix
//!
//! ```yaml
//! resources:
//!   requests: {cpu: 100m, memory: 256Mi}
//! ```
//!
//! # Controls
//!
//! - NSA/CISA Kubernetes Hardening Guide 1.2: Resource policies
//! - Kubernetes documentation: Resource Management for Pods and Containers

use std::borrow::Cow;

use stagegate_core::{Context, KindPattern, Meta, Node, Policy, PolicyError, Violation};

use crate::resources::{self, Bound, ResourceRule};

struct ResourceRequests(Meta);

const RULE: ResourceRule = ResourceRule {
    field: "requests",
    noun: "request",
};
/// What the API server fills a missing request in from.
const LIMIT: ResourceRule = ResourceRule {
    field: "limits",
    noun: "limit",
};

pub(crate) fn policy() -> impl Policy {
    ResourceRequests(resources::meta(
        Meta {
            help: Cow::Borrowed("set resources.requests in the container"),
            ..Meta::native(
                "resource-requests",
                "workload",
                "Every container requests memory and CPU",
                include_str!("resource_requests.rs"),
            )
        },
        RULE.field,
        "the resources that must be requested",
    ))
}

impl Policy for ResourceRequests {
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
            let requests = resources.member(RULE.field);
            let limits = resources.member("limits");
            for resource in cx.strings(RULE.field) {
                let request = requests.member(resource);
                match resources::bound(&request) {
                    // The API server fills a missing request in from the limit.
                    Bound::Absent if limits.member(resource).node().is_some() => {
                        if let Bound::Bad(why) = resources::bound(&limits.member(resource)) {
                            let limit = limits.member(resource);
                            let why = format!("{why}, and it stands in for the missing request");
                            violations.push(LIMIT.bad(container, &limit, resource, &why));
                        }
                    }
                    Bound::Absent
                        if pod.sets(RULE.field, resource)
                            || pod.sets("limits", resource)
                            || pod
                                .limit_range_default(cx, resources::DEFAULT_REQUEST, resource)
                                .is_some() => {}
                    Bound::Absent => violations.push(RULE.missing(container, &request, resource)),
                    Bound::Bad(why) => {
                        violations.push(RULE.bad(container, &request, resource, &why));
                    }
                    Bound::Set(_) => {}
                }
            }
        });
        Ok(violations)
    }
}
