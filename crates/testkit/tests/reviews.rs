//! Requests recorded from a real API server, through the door that they were sent to.
//!
//! `testdata/reviews` holds what kube-apiserver 1.36 sent to a webhook with one rule for everything.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use stagegate_admission::{AdmissionRequest, judge, respond};
use stagegate_core::{
    Enforcement, Engine, Inventory, Limits, PolicySettings, Settings, Stage, StageName,
};

fn reviews() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/reviews");
    let mut reviews: Vec<(String, Value)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(path).unwrap();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    reviews.sort_by(|a, b| a.0.cmp(&b.0));
    reviews
}

fn decode(review: &Value) -> AdmissionRequest {
    AdmissionRequest::decode(review.to_string().as_bytes()).unwrap()
}

fn engine(settings: Settings) -> Engine {
    Engine::new(stagegate_policies::all(), settings).unwrap()
}

fn answer(engine: &Engine, review: &Value, stage: Option<&Stage>) -> Value {
    let request = decode(review);
    let inventory = Inventory::default();
    let judgement = judge(
        engine,
        &request,
        stage,
        Some(&inventory),
        &Limits::default(),
    );
    respond(&request, &judgement, "digest")
}

/// Who asks on behalf of the cluster itself.
fn is_controller(user: &str) -> bool {
    user.starts_with("system:serviceaccount:kube-system:")
        || user.starts_with("system:node:")
        || matches!(user, "system:apiserver" | "system:kube-controller-manager")
}

#[test]
fn every_recorded_review_gets_its_answer() {
    let engine = engine(Settings::default());
    let mut text = String::new();
    for (name, review) in reviews() {
        let answer = answer(&engine, &review, None);
        let response = &answer["response"];
        assert_eq!(answer["apiVersion"], review["apiVersion"], "{name}");
        assert_eq!(response["uid"], review["request"]["uid"], "{name}");
        let allowed = response["allowed"] == true;
        let _ = writeln!(
            text,
            "{name}: {}",
            if allowed { "allowed" } else { "denied" }
        );
        let message = response["status"]["message"].as_str().unwrap_or_default();
        for line in message.lines() {
            let _ = writeln!(text, "    deny {line}");
        }
        for warning in response["warnings"].as_array().into_iter().flatten() {
            let _ = writeln!(text, "    warn {}", warning.as_str().unwrap());
        }
        if let Some(audited) = response["auditAnnotations"]["findings"].as_str() {
            let _ = writeln!(text, "    audit {audited}");
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_that_a_controller_sends_is_denied() {
    let prod = Stage::named(StageName::any("prod"));
    for stage in [None, Some(&prod)] {
        let engine = engine(Settings::default());
        for (name, review) in reviews() {
            let user = review["request"]["userInfo"]["username"].as_str().unwrap();
            if is_controller(user) {
                let answer = answer(&engine, &review, stage);
                assert_eq!(answer["response"]["allowed"], true, "{name}");
            }
        }
    }
}

/// With everything that can deny denying, an object that was there and is changed in nothing that
/// counts is let through, and so is what ends an object.
#[test]
fn what_was_there_before_is_not_denied() {
    let policies = stagegate_policies::all();
    let deny = PolicySettings {
        enforcement: Some(Enforcement::Deny),
        admission: Some(Enforcement::Deny),
        ..PolicySettings::default()
    };
    let all = policies
        .iter()
        .map(|p| (p.meta().id.to_string(), deny.clone()));
    let engine = engine(Settings {
        policies: all.collect(),
        ..Settings::default()
    });
    for (name, review) in reviews() {
        let request = &review["request"];
        let is_same = request["operation"] == "UPDATE"
            && request["object"]["spec"] == request["oldObject"]["spec"]
            && request["object"]["data"] == request["oldObject"]["data"];
        let is_going = request["operation"] == "DELETE";
        if is_same || is_going {
            let answer = answer(&engine, &review, None);
            assert_eq!(answer["response"]["allowed"], true, "{name}: {answer:#}");
        }
    }
}

#[test]
fn no_answer_repeats_a_secret() {
    let engine = engine(Settings::default());
    for (name, review) in reviews() {
        let answer = answer(&engine, &review, None).to_string();
        let object = &review["request"]["object"];
        if object["kind"] != "Secret" {
            continue;
        }
        for value in object["data"].as_object().into_iter().flatten() {
            let encoded = value.1.as_str().unwrap();
            assert!(!answer.contains(encoded), "{name}");
        }
    }
}

/// Turns every list whose order means nothing to Kubernetes around.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, member)| {
                let mut member = reversed(member);
                let free = [
                    "containers",
                    "env",
                    "ports",
                    "volumes",
                    "ownerReferences",
                    "matchExpressions",
                ];
                if free.contains(&key.as_str())
                    && let Some(items) = member.as_array_mut()
                {
                    items.reverse();
                }
                (key.clone(), member)
            })
            .collect(),
        Value::Array(items) => items.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

#[test]
fn the_order_of_lists_changes_no_verdict() {
    let engine = engine(Settings::default());
    let messages = |answer: &Value| {
        let mut messages: Vec<String> = answer["response"]["status"]["details"]["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|cause| cause["message"].to_string())
            .collect();
        messages.sort();
        (answer["response"]["allowed"].clone(), messages)
    };
    for (name, review) in reviews() {
        let before = answer(&engine, &review, None);
        let mut turned = review.clone();
        turned["request"]["object"] = reversed(&review["request"]["object"]);
        // Against an old object in another order nothing is new.
        let after = answer(&engine, &turned, None);
        assert_eq!(messages(&before), messages(&after), "{name}");
    }
}

fn pod(containers: &[(String, bool, bool)]) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .map(|(name, memory, cpu)| {
            let mut limits = json!({});
            if *memory {
                limits["memory"] = json!("1Gi");
            }
            if *cpu {
                limits["cpu"] = json!("0");
            }
            json!({"name": name, "resources": {"limits": limits}})
        })
        .collect();
    json!({"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": "a"}, "spec": {"containers": containers}})
}

fn update(new: &Value, old: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "1", "operation": if old.is_null() { "CREATE" } else { "UPDATE" },
                    "namespace": "shop", "userInfo": {"username": "jane"},
                    "object": new, "oldObject": old},
    })
}

fn containers() -> impl Strategy<Value = Vec<(String, bool, bool)>> {
    proptest::collection::btree_map("[a-d]", (any::<bool>(), any::<bool>()), 1..4)
        .prop_map(|map| map.into_iter().map(|(n, (m, c))| (n, m, c)).collect())
}

proptest! {
    #[test]
    fn a_repeated_review_gets_the_same_answer(new in containers(), old in containers()) {
        let engine = engine(Settings::default());
        let review = update(&pod(&new), &pod(&old));
        prop_assert_eq!(answer(&engine, &review, None), answer(&engine, &review, None));
    }

    /// An update that only reorders what was there is never denied, and denies no more than a
    /// creation would.
    #[test]
    fn an_update_denies_only_what_is_new(new in containers(), old in containers()) {
        let engine = engine(Settings::default());
        let (new, old) = (pod(&new), pod(&old));
        let same = answer(&engine, &update(&reversed(&old), &old), None);
        prop_assert_eq!(&same["response"]["allowed"], true);
        let created = answer(&engine, &update(&new, &Value::Null), None);
        let updated = answer(&engine, &update(&new, &old), None);
        if created["response"]["allowed"] == true {
            prop_assert_eq!(&updated["response"]["allowed"], true);
        }
    }
}
