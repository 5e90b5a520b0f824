//! What resource-limits and resource-requests share.

use std::borrow::Cow;

use serde_json::json;
use stagegate_core::{
    Ask, Container, Context, Control, Cursor, Enforcement, KindPattern, KubernetesVersion, Matches,
    Meta, Node, Object, Operation, Parameters, Quantity, Value, Violation,
};

/// Pod-level resources are on by default since this version (feature PodLevelResources, beta).
const POD_LEVEL_RESOURCES: KubernetesVersion = KubernetesVersion {
    major: 1,
    minor: 34,
};

const LIMIT_RANGE_DEFAULTS: &str = "limitRangeDefaults";

/// The parameters of a rule about resources: the list that is named after it, and whether the
/// defaults of a LimitRange count.
fn parameters(field: &str, description: &str) -> Parameters {
    crate::parameters(json!({
        field: {
            "type": "array",
            "items": {"type": "string"},
            "default": ["memory", "cpu"],
            "description": description,
        },
        LIMIT_RANGE_DEFAULTS: {
            "type": "boolean",
            "default": false,
            "description": "the defaults of a LimitRange in the same namespace count",
        },
    }))
}

/// The metadata of a rule about resources: `field` names its parameter.
pub(crate) fn meta(native: Meta, field: &str, description: &str) -> Meta {
    Meta {
        enforcement: Enforcement::Deny,
        matches: Matches::Workloads,
        // Resizing a pod in place changes nothing but its resources.
        asks: Cow::Borrowed(&[Ask {
            operation: Operation::Update,
            subresource: "resize",
        }]),
        parameters: parameters(field, description),
        controls: vec![Control::new(
            "NSA/CISA Kubernetes Hardening Guide 1.2",
            "Resource policies",
        )],
        ..native
    }
}

/// One of the two rules.
pub(crate) struct ResourceRule {
    /// The member of `resources` that it is about.
    pub(crate) field: &'static str,
    /// One of them, in a message.
    pub(crate) noun: &'static str,
}

/// A limit or a request.
pub(crate) enum Bound {
    Absent,
    Set(Quantity),
    /// Not a quantity, or none that bounds anything.
    Bad(String),
}

/// Reads a limit or a request, in the precision that the API server keeps.
pub(crate) fn bound(cursor: &Cursor<'_>) -> Bound {
    let Some(node) = cursor.node() else {
        // A quantity is the one place where the API server does not take null for absent: it
        // reads zero, and fills nothing in.
        return if cursor.is_null() {
            Bound::Bad("is null, which Kubernetes reads as 0".to_owned())
        } else {
            Bound::Absent
        };
    };
    match Quantity::from_node(node).map(Quantity::round_up_to_milli) {
        Ok(quantity) if quantity.is_positive() => Bound::Set(quantity),
        Ok(_) => Bound::Bad("must be greater than 0".to_owned()),
        Err(error) => Bound::Bad(error.to_string()),
    }
}

/// `container "api"`, or the pod.
pub(crate) fn owner(container: &str) -> String {
    if container.is_empty() {
        "the pod".to_owned()
    } else {
        format!("container {container:?}")
    }
}

impl ResourceRule {
    /// `container "api" sets no memory limit`
    pub(crate) fn missing(
        &self,
        container: &Container<'_>,
        at: &Cursor<'_>,
        resource: &str,
    ) -> Violation {
        let message = format!(
            "container {:?} sets no {resource} {}",
            container.name, self.noun
        );
        Violation::at(at, message)
    }

    /// `container "api": the memory limit "lots" is not a quantity …`
    pub(crate) fn bad(
        &self,
        container: &Container<'_>,
        at: &Cursor<'_>,
        resource: &str,
        why: &str,
    ) -> Violation {
        let shown = match at.node().map(|n| &n.value) {
            Some(Value::String(text)) => format!(" {text:?}"),
            Some(Value::Number(number)) => format!(" {number}"),
            _ => String::new(),
        };
        let message = format!(
            "container {:?}: the {resource} {}{shown} {why}",
            container.name, self.noun
        );
        let value = at.node().map(Quantity::written).unwrap_or_default();
        Violation::of_value(at, value, message).help(format!(
            "write a positive quantity, such as {}",
            example(resource)
        ))
    }
}

fn example(resource: &str) -> &'static str {
    match resource {
        "cpu" => "500m",
        _ => "256Mi",
    }
}

/// The pod around a container.
pub(crate) struct Pod<'a> {
    spec: &'a Cursor<'a>,
    object: &'a Object,
    version: KubernetesVersion,
}

/// What can stand in for a default in a LimitRange, in the order in which it is looked for.
///
/// Source: `SetDefaults_LimitRangeItem` of the API server: `max` becomes the default limit, the
/// default limit the default request, and `min` the default request where there is still none.
pub(crate) const DEFAULT_LIMIT: &[&str] = &["default", "max"];
/// The same for requests.
pub(crate) const DEFAULT_REQUEST: &[&str] = &["defaultRequest", "default", "max", "min"];

impl Pod<'_> {
    /// Whether the pod as a whole sets a positive limit or request. Only some resources can be
    /// set there.
    pub(crate) fn sets(&self, field: &str, resource: &str) -> bool {
        let possible = matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-");
        possible
            && self.version >= POD_LEVEL_RESOURCES
            && matches!(
                bound(&self.spec.member("resources").member(field).member(resource)),
                Bound::Set(_)
            )
    }

    /// The quantity that a LimitRange of the pod's namespace fills in, where the configuration
    /// lets it count.
    pub(crate) fn limit_range_default(
        &self,
        cx: &Context<'_>,
        fields: &[&str],
        resource: &str,
    ) -> Option<Quantity> {
        if !cx.flag(LIMIT_RANGE_DEFAULTS) {
            return None;
        }
        cx.beside(self.object, "", "LimitRange")
            .filter_map(|range| range.node.path(&["spec", "limits"]))
            .flat_map(Node::items)
            .filter(|item| item.get("type").and_then(Node::as_str) == Some("Container"))
            .find_map(|item| {
                fields.iter().find_map(|field| {
                    match bound(&Cursor::root(item).member(field).member(resource)) {
                        Bound::Set(quantity) => Some(quantity),
                        _ => None,
                    }
                })
            })
    }
}

/// What rules about resources look at besides their subject.
pub(crate) fn neighbours(parameters: &Node) -> Vec<KindPattern> {
    let defaults = parameters.get(LIMIT_RANGE_DEFAULTS).and_then(Node::as_bool);
    let ranges = KindPattern::named("", "LimitRange");
    defaults
        .unwrap_or_default()
        .then_some(ranges)
        .into_iter()
        .collect()
}

/// Calls `f` with every container of the reviewed workload, and its pod.
pub(crate) fn for_each_container(cx: &Context<'_>, f: &mut dyn FnMut(&Container<'_>, &Pod<'_>)) {
    with_spec(cx, &mut |spec, object| {
        let version = cx.settings.kubernetes_version;
        let pod = Pod {
            spec,
            object,
            version,
        };
        Container::for_each(spec, |container| f(container, &pod));
    });
}

/// Calls `f` with the resources of the pod as a whole, where the Kubernetes version has them.
pub(crate) fn with_pod_resources(cx: &Context<'_>, f: &mut dyn FnMut(&Cursor<'_>)) {
    if cx.settings.kubernetes_version >= POD_LEVEL_RESOURCES {
        with_spec(cx, &mut |spec, _| f(&spec.member("resources")));
    }
}

fn with_spec(cx: &Context<'_>, f: &mut dyn FnMut(&Cursor<'_>, &Object)) {
    let Some(object) = cx.object() else { return };
    if let Some(template) = object.pod_template() {
        template.with_spec(&mut |spec| f(spec, object));
    }
}
