//! What the API server makes of an object before a webhook sees it.
//!
//! Source: the defaulting functions of `pkg/apis/*/v1/defaults.go` of Kubernetes, as far as the
//! kinds of the cases need them, held against recorded requests.

use base64::Engine as _;
use serde_json::{Map, Value, json};

/// Fills in what the API server would.
pub(crate) fn defaulted(object: &Value) -> Value {
    let mut object = object.clone();
    let applied = object.to_string();
    let version = text(&object, "apiVersion");
    let kind = text(&object, "kind");
    let Some(members) = object.as_object_mut() else {
        return object;
    };
    metadata(members, &applied);
    match (version.as_str(), kind.as_str()) {
        ("v1", "Secret") => secret(members),
        ("v1", "Pod") => {
            if let Some(spec) = members.get_mut("spec") {
                pod(spec);
                requests_of_limits(spec);
            }
        }
        ("networking.k8s.io/v1", "NetworkPolicy") => network_policy(members),
        ("autoscaling/v1" | "autoscaling/v2", "HorizontalPodAutoscaler") => {
            set(&mut members["spec"], "minReplicas", json!(1));
        }
        ("apps/v1", _) | ("v1", "ReplicationController") | ("batch/v1", "Job") => {
            workload(members, &kind);
        }
        ("batch/v1", "CronJob") => {
            let spec = &mut members["spec"];
            set(spec, "concurrencyPolicy", json!("Allow"));
            set(spec, "suspend", json!(false));
            set(spec, "successfulJobsHistoryLimit", json!(3));
            set(spec, "failedJobsHistoryLimit", json!(1));
            if let Some(template) = spec.pointer_mut("/jobTemplate/spec/template") {
                pod_template(template);
            }
        }
        _ => {}
    }
    object
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

/// Sets a member that is absent or null.
fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut()
        && members.get(key).is_none_or(Value::is_null)
    {
        members.insert(key.to_owned(), value);
    }
}

/// `kubectl apply` from the client's side keeps what it was given, in the clear.
fn metadata(members: &mut Map<String, Value>, applied: &str) {
    let metadata = members.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    if let Some(prefix) = metadata["generateName"].as_str().map(str::to_owned) {
        set(metadata, "name", json!(format!("{prefix}x7k2p")));
    }
    set(
        metadata,
        "uid",
        json!("00000000-0000-0000-0000-000000000001"),
    );
    set(metadata, "creationTimestamp", json!("2026-01-01T00:00:00Z"));
    set(metadata, "generation", json!(1));
    set(
        metadata,
        "managedFields",
        json!([{"manager": "kubectl-client-side-apply", "operation": "Update"}]),
    );
    set(metadata, "annotations", json!({}));
    set(
        &mut metadata["annotations"],
        "kubectl.kubernetes.io/last-applied-configuration",
        json!(applied),
    );
}

fn secret(members: &mut Map<String, Value>) {
    // What it would refuse has no defaults.
    let is_refused = |key: &str| {
        members
            .get(key)
            .is_some_and(|m| m.is_string() || m.is_array())
    };
    if is_refused("data") || is_refused("stringData") {
        return;
    }
    let written = members.remove("stringData").unwrap_or_default();
    let mut data = match members.remove("data") {
        Some(Value::Object(data)) => data,
        _ => Map::new(),
    };
    for (key, value) in written.as_object().into_iter().flatten() {
        let bytes = value.as_str().unwrap_or_default();
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
        data.insert(key.clone(), json!(encoded));
    }
    if !data.is_empty() {
        members.insert("data".to_owned(), Value::Object(data));
    }
    members.entry("type").or_insert_with(|| json!("Opaque"));
}

fn network_policy(members: &mut Map<String, Value>) {
    let spec = members.entry("spec").or_insert_with(|| json!({}));
    let has_egress = spec["egress"]
        .as_array()
        .is_some_and(|rules| !rules.is_empty());
    let types = if has_egress {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    };
    set(spec, "policyTypes", types);
    set(spec, "podSelector", json!({}));
}

fn workload(members: &mut Map<String, Value>, kind: &str) {
    let name = members["metadata"]["name"].clone();
    let Some(spec) = members.get_mut("spec") else {
        return;
    };
    match kind {
        "Deployment" => {
            set(spec, "replicas", json!(1));
            set(spec, "revisionHistoryLimit", json!(10));
            set(spec, "progressDeadlineSeconds", json!(600));
            set(
                spec,
                "strategy",
                json!({"type": "RollingUpdate",
                       "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
            );
        }
        "StatefulSet" => {
            set(spec, "replicas", json!(1));
            set(spec, "podManagementPolicy", json!("OrderedReady"));
        }
        "ReplicaSet" | "ReplicationController" => set(spec, "replicas", json!(1)),
        "Job" => {
            set(spec, "backoffLimit", json!(6));
            set(spec, "completionMode", json!("NonIndexed"));
            set(&mut spec["template"], "metadata", json!({}));
            let metadata = &mut spec["template"]["metadata"];
            set(metadata, "labels", json!({}));
            for label in ["job-name", "batch.kubernetes.io/job-name"] {
                set(&mut metadata["labels"], label, name.clone());
            }
        }
        _ => {}
    }
    if let Some(template) = spec.get_mut("template") {
        pod_template(template);
    }
}

fn pod_template(template: &mut Value) {
    set(template, "metadata", json!({}));
    if let Some(metadata) = template["metadata"].as_object_mut() {
        metadata.insert("creationTimestamp".to_owned(), Value::Null);
    }
    if let Some(spec) = template.get_mut("spec") {
        pod(spec);
    }
}

/// Whether an image has the tag `latest`, or none, and no digest.
fn may_change(image: &str) -> bool {
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    };
    tag == "latest" && !name.contains('@')
}

fn pod(spec: &mut Value) {
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "schedulerName", json!("default-scheduler"));
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    each_container(spec, &mut |container| {
        let image = container["image"].as_str().unwrap_or_default();
        let pull = if may_change(image) {
            "Always"
        } else {
            "IfNotPresent"
        };
        set(container, "imagePullPolicy", json!(pull));
        set(container, "resources", json!({}));
        set(
            container,
            "terminationMessagePath",
            json!("/dev/termination-log"),
        );
        set(container, "terminationMessagePolicy", json!("File"));
        for port in container["ports"].as_array_mut().into_iter().flatten() {
            set(port, "protocol", json!("TCP"));
        }
    });
}

fn each_container(spec: &mut Value, f: &mut dyn FnMut(&mut Value)) {
    for list in ["initContainers", "containers"] {
        if let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) {
            containers.iter_mut().for_each(&mut *f);
        }
    }
}

/// Of Pods, not of templates: what is limited and not requested is requested as much.
fn requests_of_limits(spec: &mut Value) {
    each_container(spec, &mut |container| {
        let limits = container["resources"]["limits"].clone();
        for (resource, limit) in limits.as_object().into_iter().flatten() {
            if limit.is_null() {
                continue;
            }
            set(&mut container["resources"], "requests", json!({}));
            set(
                &mut container["resources"]["requests"],
                resource,
                limit.clone(),
            );
        }
    });
}
