use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};
use stagegate_core::{
    Context, Enforcement, Engine, Finding, Inventory, Limits, Meta, NameGlob, Object, Operation,
    Policy, PolicyError, Settings, Severity, Stage, StageName, StageRule, StageRules, Status,
    Verdict, Violation,
};

use super::*;

fn body(api_version: &str, request: &Value) -> Vec<u8> {
    json!({"apiVersion": api_version, "kind": "AdmissionReview", "request": request})
        .to_string()
        .into_bytes()
}

fn request() -> Value {
    json!({
        "uid": "7f0b",
        "operation": "UPDATE",
        "namespace": "shop",
        "subResource": "scale",
        "userInfo": {"username": "jane", "groups": ["a"]},
        "dryRun": true,
        "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},
        "oldObject": null,
        "options": {"kind": "UpdateOptions"},
    })
}

#[test]
fn a_request_becomes_a_subject() {
    let request = AdmissionRequest::decode(&body("admission.k8s.io/v1beta1", &request())).unwrap();
    assert_eq!(request.api_version, "admission.k8s.io/v1beta1");
    assert_eq!(
        (request.operation, request.dry_run),
        (Operation::Update, true)
    );
    assert_eq!(
        (request.user.as_str(), request.subresource.as_str()),
        ("jane", "scale")
    );
    let object = request.object.as_ref().unwrap();
    assert_eq!(object.reference.to_string(), "Pod shop/a");
    assert!(request.review().old_object.is_none());
}

#[test]
fn an_operation_that_is_not_known_is_tolerated() {
    let mut asked = request();
    asked["operation"] = json!("TELEPORT");
    asked["new"] = json!({"field": [1]});
    let request = AdmissionRequest::decode(&body("admission.k8s.io/v1", &asked)).unwrap();
    assert_eq!(request.operation, Operation::Other);
}

#[test]
fn a_namespace_is_in_no_namespace() {
    let mut asked = request();
    asked["object"] =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let request = AdmissionRequest::decode(&body("admission.k8s.io/v1", &asked)).unwrap();
    assert_eq!(request.object.unwrap().reference.namespace, None);
}

#[test]
fn what_is_no_request_is_an_error_that_repeats_nothing_of_it() {
    let mut deep = request();
    deep["object"] =
        serde_json::from_str(&format!("{}{}", "[".repeat(100), "]".repeat(100))).unwrap();
    let deep = String::from_utf8(body("admission.k8s.io/v1", &deep)).unwrap();
    let deep = deep
        .replace("[[[[[[[[[[", &"[".repeat(100))
        .replace("]]]]]]]]]]", &"]".repeat(100));
    let mut no_object = request();
    no_object["object"] = json!("hunter2");
    let mut no_kind = request();
    no_kind["object"] = json!({"metadata": {"name": "hunter2"}});
    let mut deep_elsewhere = request();
    deep_elsewhere["options"] = json!("DEEP");
    let deep_elsewhere = String::from_utf8(body("admission.k8s.io/v1", &deep_elsewhere)).unwrap();
    let brackets = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for bytes in [
        body("admission.k8s.io/v1", &no_object),
        body("admission.k8s.io/v1", &no_kind),
        deep_elsewhere.replace("\"DEEP\"", &brackets).into_bytes(),
        b"hunter2".to_vec(),
        b"{}".to_vec(),
        b"{\"kind\": \"AdmissionReview\"".to_vec(),
        body("admission.k8s.io/v2", &request()),
        body("admission.k8s.io/v1", &Value::Null),
        deep.into_bytes(),
        b"[".repeat(100_000),
    ] {
        let error = AdmissionRequest::decode(&bytes).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

fn finding(enforcement: Enforcement, message: &str) -> Finding {
    let meta = Meta {
        help: Cow::Borrowed("do the right thing"),
        ..Meta::native("some-policy", "test", "", "")
    };
    Finding {
        meta: Arc::new(meta),
        severity: Severity::Low,
        enforcement,
        status: Status::Active,
        waiver: None,
        object: None,
        violation: Violation::of_file("key".to_owned(), message.to_owned()),
    }
}

fn judged(allowed: bool, findings: Vec<Finding>) -> Judgement {
    Judgement {
        stage: RequestStage {
            stage: Stage::default_stage(),
            is_named: true,
        },
        verdict: Verdict {
            allowed,
            findings,
            ..Verdict::default()
        },
        bounded_by: None,
    }
}

fn decoded(request: &Value) -> AdmissionRequest {
    AdmissionRequest::decode(&body("admission.k8s.io/v1", request)).unwrap()
}

#[test]
fn a_denial_is_a_403_with_causes_and_the_fix() {
    let findings = (0..60)
        .map(|i| finding(Enforcement::Deny, &format!("no {i}")))
        .collect();
    let answer = respond(&decoded(&request()), &judged(false, findings), "abc");
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["response"]["uid"], "7f0b");
    assert_eq!(answer["response"]["allowed"], false);
    let status = &answer["response"]["status"];
    assert_eq!(status["code"], 403);
    assert_eq!(status["details"]["causes"].as_array().unwrap().len(), 50);
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("some-policy : no 0 (fix: do the right thing)\n"),
        "{message}"
    );
    assert!(message.ends_with("and 10 more"), "{message}");
    let annotations = &answer["response"]["auditAnnotations"];
    assert_eq!(annotations["policy-digest"], "abc");
    assert_eq!(annotations["stage"], "default");
}

#[test]
fn warnings_are_short_few_and_in_one_line() {
    let long = "ö\n".repeat(200);
    let mut findings: Vec<_> = (0..12).map(|_| finding(Enforcement::Warn, &long)).collect();
    findings.push(finding(Enforcement::Audit, "noted"));
    let answer = respond(&decoded(&request()), &judged(true, findings), "");
    let warnings = answer["response"]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 11);
    assert_eq!(warnings[10], "and 2 more");
    let first = warnings[0].as_str().unwrap();
    assert_eq!(first.chars().count(), 120);
    assert!(!first.contains('\n'));
    assert_eq!(
        answer["response"]["auditAnnotations"]["findings"],
        "some-policy : noted"
    );
    assert!(answer["response"].get("status").is_none());
}

#[test]
fn a_collection_that_is_deleted_is_asked_about_without_names() {
    let mut asked = request();
    asked["operation"] = json!("DELETE");
    asked["oldObject"] = asked["object"].take();
    asked["namespace"] = Value::Null;
    asked["subResource"] = Value::Null;
    let request = decoded(&asked);
    assert_eq!(request.name, "a");
    assert!(request.object.is_none() && request.old_object.is_some());
}

fn rules() -> StageRules {
    let rule = |name: &str, namespaces: &[&str], selector: Option<Value>| StageRule {
        stage: Stage::named(StageName::any(name)),
        namespaces: namespaces
            .iter()
            .map(|n| NameGlob::new(n).unwrap())
            .collect(),
        selector: selector.map(|s| serde_json::from_value(s).unwrap()),
    };
    StageRules {
        stages: vec![
            rule("dev", &["*-dev", "both"], None),
            rule("staging", &["both"], None),
            rule(
                "prod",
                &["*-prod"],
                Some(json!({"matchLabels": {"stage": "prod"}})),
            ),
        ],
        ..StageRules::default()
    }
}

fn object(value: Value) -> Arc<Object> {
    Arc::new(Object::new(serde_json::from_value(value).unwrap(), Arc::default()).unwrap())
}

#[test]
fn the_stage_of_a_request_is_that_of_its_namespace() {
    let labelled = object(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "labelled", "labels": {"stage": "prod"}},
    }));
    let inventory = Inventory::new(vec![labelled]);
    let of = |namespace: &str, rules: &StageRules| {
        let mut asked = request();
        asked["namespace"] = json!(namespace);
        let found = RequestStage::of(&decoded(&asked), rules, Some(&inventory));
        (found.stage.name, found.stage.ceiling, found.is_named)
    };
    let named = |name: &str| (name.to_owned(), None, true);
    assert_eq!(of("shop-dev", &rules()), named("dev"));
    assert_eq!(of("labelled", &rules()), named("prod"));
    // The stricter of two, and the last in the order of promotion for what has no namespace.
    assert_eq!(of("both", &rules()), named("staging"));
    assert_eq!(of("", &rules()), named("prod"));
    // Nobody's namespace: the strictest stage, which then warns.
    let warns = ("prod".to_owned(), Some(Enforcement::Warn), false);
    assert_eq!(of("other", &rules()), warns);
    let configured = StageRules {
        default: Some("dev".to_owned()),
        cluster_scoped: Some("staging".to_owned()),
        ..rules()
    };
    assert_eq!(of("other", &configured), ("dev".to_owned(), None, false));
    assert_eq!(of("", &configured), named("staging"));
    assert_eq!(of("other", &StageRules::default()), named("default"));
}

#[test]
fn a_namespace_belongs_to_the_stricter_of_before_and_after() {
    let namespace = |name: &str, labels: Value| {
        json!({"apiVersion": "v1", "kind": "Namespace",
               "metadata": {"name": name, "labels": labels}})
    };
    let of = |new: Value, old: Value| {
        let mut asked = request();
        asked["namespace"] = json!("shop");
        asked["subResource"] = json!("");
        asked["object"] = new;
        asked["oldObject"] = old;
        RequestStage::of(&decoded(&asked), &rules(), None)
            .stage
            .name
    };
    let prod = namespace("shop-dev", json!({"stage": "prod"}));
    let dev = namespace("shop-dev", json!({}));
    assert_eq!(of(dev.clone(), Value::Null), "dev");
    // Taking the label away is judged as what it was.
    assert_eq!(of(dev.clone(), prod.clone()), "prod");
    assert_eq!(of(prod, dev), "prod");
}

struct DenyAll(Meta);

impl Policy for DenyAll {
    fn meta(&self) -> &Meta {
        &self.0
    }
    fn review(&self, _: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        Ok(vec![Violation::of_file("k".to_owned(), "no".to_owned())])
    }
}

fn deny_all(settings: Settings) -> Engine {
    let meta = Meta {
        enforcement: Enforcement::Deny,
        ..Meta::native("deny-all", "test", "", "")
    };
    Engine::new(vec![Box::new(DenyAll(meta))], settings).unwrap()
}

#[test]
fn what_a_controller_makes_of_a_judged_object_is_only_audited() {
    let settings = Settings {
        rollouts_controller: Some("system:serviceaccount:rollouts:rollouts".to_owned()),
        restore_writers: vec!["velero".to_owned()],
        ..Settings::default()
    };
    let engine = deny_all(settings);
    let judge = |kind: (&str, &str), owner: Value, user: &str| {
        let mut asked = request();
        asked["operation"] = json!("CREATE");
        asked["subResource"] = json!("");
        asked["userInfo"]["username"] = json!(user);
        asked["object"] = json!({
            "apiVersion": kind.0, "kind": kind.1,
            "metadata": {"name": "a", "ownerReferences": [owner]},
        });
        let judgement = judge(&engine, &decoded(&asked), None, None, &Limits::default());
        (
            judgement.verdict.findings[0].enforcement,
            judgement.bounded_by,
        )
    };
    let owner = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "name": "x", "uid": "1", "controller": true});
    let replica_set = owner("apps/v1", "ReplicaSet");
    let account = "system:serviceaccount:kube-system:replicaset-controller";
    let pod = ("v1", "Pod");
    let audited = (Enforcement::Audit, Some(Bound::Controller));
    let denied = (Enforcement::Deny, None);
    assert_eq!(judge(pod, replica_set.clone(), account), audited);
    let root = "system:kube-controller-manager";
    assert_eq!(judge(pod, replica_set.clone(), root), audited);
    let rollout = owner("argoproj.io/v1alpha1", "Rollout");
    let rollouts = "system:serviceaccount:rollouts:rollouts";
    assert_eq!(judge(("apps/v1", "ReplicaSet"), rollout, rollouts), audited);
    // Anybody else's owner references change nothing, nor do another controller's.
    assert_eq!(judge(pod, replica_set.clone(), "jane"), denied);
    let other_namespace = "system:serviceaccount:shop:replicaset-controller";
    assert_eq!(judge(pod, replica_set.clone(), other_namespace), denied);
    assert_eq!(judge(pod, owner("apps/v1", "Deployment"), account), denied);
    assert_eq!(
        judge(pod, owner("example.com/v1", "ReplicaSet"), account),
        denied
    );
    let mut no_controller = replica_set.clone();
    no_controller["controller"] = json!(false);
    assert_eq!(judge(pod, no_controller, account), denied);
    assert_eq!(
        judge(("apps/v1", "Deployment"), replica_set.clone(), account),
        denied
    );
    // Who restores is warned.
    let restored = (Enforcement::Warn, Some(Bound::RestoreWriter));
    assert_eq!(judge(pod, replica_set, "velero"), restored);
}

#[test]
fn only_requests_about_the_object_itself_are_judged_unless_asked_for() {
    let engine = deny_all(Settings::default());
    let allowed = |operation: &str, subresource: &str| {
        let mut asked = request();
        asked["operation"] = json!(operation);
        asked["subResource"] = json!(subresource);
        if operation == "DELETE" {
            asked["oldObject"] = asked["object"].take();
        }
        judge(&engine, &decoded(&asked), None, None, &Limits::default())
            .verdict
            .allowed
    };
    assert!(!allowed("CREATE", "") && !allowed("UPDATE", ""));
    for (operation, subresource) in [
        ("DELETE", ""),
        ("UPDATE", "status"),
        ("UPDATE", "scale"),
        ("UPDATE", "ephemeralcontainers"),
        ("UPDATE", "resize"),
        ("CONNECT", "exec"),
        ("CREATE", "eviction"),
    ] {
        assert!(allowed(operation, subresource), "{operation} {subresource}");
    }
}
