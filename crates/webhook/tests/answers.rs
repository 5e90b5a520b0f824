//! What requests are answered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Gate, config_map, create, engine, no_bad_data, policy, serve, serve_from, update};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde_json::json;
use stagegate_core::{Enforcement, Policy, PolicyError, PolicySettings, Settings};

fn plain() -> Vec<Box<dyn Policy>> {
    vec![policy("no-bad-data", no_bad_data)]
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_answer_with_the_uid_and_the_reasons() {
    let server = serve(plain, |_, _| {}).await;
    let (good, bad) = (create(json!({})), create(json!({"bad": "x"})));
    let mut http1 = server.http1().await;
    let mut http2 = server.http2().await;
    for _ in 0..3 {
        for heard in [
            http1.ask("/validate?timeout=5s", good.to_string()).await,
            http2.ask("/validate?timeout=5s", good.to_string()).await,
        ] {
            let heard = heard.unwrap();
            assert!(heard.is_allowed() && !heard.closes);
            assert_eq!(heard.response()["uid"], "0-1-2");
        }
        for heard in [
            http1.ask("/validate", bad.to_string()).await,
            http2.ask("/validate", bad.to_string()).await,
        ] {
            let response = heard.unwrap().response();
            assert_eq!(response["allowed"], false);
            assert_eq!(response["status"]["code"], 403);
            let cause = &response["status"]["details"]["causes"][0];
            assert_eq!(cause["field"], "/data/bad");
        }
    }
    assert_eq!(http1.ask("/", "").await.unwrap().status, 404);
    let get = Request::get("https://localhost/validate").header("host", "localhost");
    let get = get.body(http_body_util::Full::<Bytes>::default()).unwrap();
    http1.sender.ready().await.unwrap();
    assert_eq!(http1.sender.send_request(get).await.unwrap().status(), 405);
    let allowed = r#"stagegate_admission_requests_total{operation="CREATE",kind="ConfigMap",stage="default",decision="allow"}"#;
    assert_eq!(server.metric(allowed).await, 6.0);
    assert_eq!(
        server.metric(&allowed.replace("allow\"", "deny\"")).await,
        6.0
    );
    let outcome = r#"stagegate_policy_evaluations_total{policy="no-bad-data",outcome="deny"}"#;
    assert_eq!(server.metric(outcome).await, 6.0);
    assert_eq!(
        server
            .metric(r#"stagegate_policy_duration_seconds_count{policy="no-bad-data"}"#)
            .await,
        12.0
    );
    let (_, text) = server.admin("/metrics").await;
    assert!(text.contains(r#"le="0.0001""#) && text.ends_with("# EOF\n"));
    assert!(
        !text.contains("shop") && !text.contains("settings"),
        "{text}"
    );
}

/// Whatever is sent, there is an answer, and the server lives on.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_all_kinds_are_decided_or_refused() {
    let server = serve(plain, |_, _| {}).await;
    let large = |bytes: usize| config_map(json!({"text": "x".repeat(bytes)}));
    let megabyte = update(large(1 << 20), large(1 << 20)).to_string();
    assert!(server.ask(megabyte).await.is_allowed());
    let nearly = create(json!({"text": "x".repeat(7_900_000)})).to_string();
    assert!(server.ask(nearly).await.is_allowed());

    let too_large = create(json!({"text": "x".repeat(9_000_000)})).to_string();
    let heard = server.ask(too_large.clone()).await;
    assert_eq!(heard.status, 413);
    assert!(heard.body.contains("8388608"), "{}", heard.body);
    // Without a length, it is found on the way.
    let stream = server
        .tls("http/1.1", server.client_config())
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let chunks: Vec<Result<Frame<Bytes>, std::convert::Infallible>> = too_large
        .as_bytes()
        .chunks(100_000)
        .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    let body = StreamBody::new(futures_util::stream::iter(chunks));
    let request = Request::post("/validate").header("host", "localhost");
    let response = sender
        .send_request(request.body(body).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 413);
    let told = response.into_body().collect().await.unwrap().to_bytes();
    assert!(told.starts_with(b"the body is larger"));

    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep = create(json!("DEEP")).to_string().replace("\"DEEP\"", &deep);
    let twice = create(json!({}))
        .to_string()
        .replace("\"data\":", "\"data\":{},\"data\":");
    let utf8 = [b"{\"kind\": \"\xff\xfe", &[b'"', b'}'][..]].concat();
    for body in [
        Bytes::new(),
        Bytes::from_static(b"{"),
        Bytes::from_static(b"null"),
        deep.into(),
        twice.into(),
        utf8.into(),
    ] {
        let heard = server.ask(body).await;
        assert_eq!(heard.status, 400);
        assert!(heard.body.contains("AdmissionReview"), "{}", heard.body);
    }
    for content_type in ["text/plain", "application/json; charset=utf-8"] {
        let mut http1 = server.http1().await;
        let request = Request::post("/validate")
            .header("host", "localhost")
            .header("content-type", content_type)
            .body(http_body_util::Full::new(Bytes::from(
                create(json!({})).to_string(),
            )))
            .unwrap();
        let response = http1.sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200, "{content_type}");
    }
    assert_eq!(
        server
            .metric(r#"stagegate_admission_refused_requests_total{reason="undecodable"}"#)
            .await,
        6.0
    );
    assert_eq!(
        server
            .metric(r#"stagegate_admission_refused_requests_total{reason="too_large"}"#)
            .await,
        2.0
    );
    server
        .metric_becomes("stagegate_admission_body_bytes_in_flight", 0.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_api_server_sends_is_tolerated() {
    let server = serve(plain, |_, _| {}).await;
    let mut review = create(json!({"bad": "x"}));
    review["request"]["novelty"] = json!({"deep": [1, {"er": null}]});
    review["novelty"] = json!(1);
    assert!(!server.ask(review.to_string()).await.is_allowed());
    review["request"]["operation"] = json!("TELEPORT");
    assert!(server.ask(review.to_string()).await.is_allowed());
    let series = "stagegate_admission_unknown_operation_requests_total";
    assert_eq!(server.metric(series).await, 1.0);
}

/// Names that are not there yet, custom resources of any form, and subresources.
#[tokio::test(flavor = "multi_thread")]
async fn objects_of_any_form_are_judged() {
    let server = serve(plain, |_, _| {}).await;
    let mut unnamed = create(json!({"bad": "x"}));
    unnamed["request"]["object"]["metadata"] = json!({"generateName": "settings-"});
    assert!(!server.ask(unnamed.to_string()).await.is_allowed());
    let mut custom = create(json!({}));
    custom["request"]["object"] = json!({
        "apiVersion": "example.com/v1", "kind": "Odd",
        "spec": [1, "two", null], "data": {"bad": "x"}, "metadata": {"labels": 7},
    });
    assert!(!server.ask(custom.to_string()).await.is_allowed());
    for subresource in ["status", "scale", "eviction", "binding"] {
        let mut review = create(json!({"bad": "x"}));
        review["request"]["subResource"] = json!(subresource);
        assert!(server.ask(review.to_string()).await.is_allowed());
    }
}

/// An update is denied for what it brings. An object that is being deleted may lose its finalizers
/// and nothing else unjudged.
#[tokio::test(flavor = "multi_thread")]
async fn updates_are_judged_by_what_they_bring() {
    let server = serve(plain, |_, _| {}).await;
    let old = config_map(json!({"bad": "x"}));
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let heard = server.ask(update(old.clone(), labelled).to_string()).await;
    assert!(heard.is_allowed());
    assert_eq!(heard.response()["warnings"].as_array().unwrap().len(), 1);
    let worse = config_map(json!({"bad": "y"}));
    let worse = update(old.clone(), worse).to_string();
    assert!(!server.ask(worse).await.is_allowed());

    let mut ending = config_map(json!({}));
    ending["metadata"]["deletionTimestamp"] = json!("2026-11-21T00:00:00Z");
    ending["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    let mut bad_already = ending.clone();
    bad_already["data"] = json!({"bad": "x"});
    let mut released = bad_already.clone();
    released["metadata"]["finalizers"] = json!(["example.com/a"]);
    let released = server.ask(update(bad_already, released).to_string()).await;
    assert!(released.is_allowed());
    assert!(released.response().get("warnings").is_none());
    let mut changed = ending.clone();
    changed["data"] = json!({"bad": "x"});
    let changed = update(ending.clone(), changed).to_string();
    assert!(!server.ask(changed).await.is_allowed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_judged_the_same_and_counted_apart() {
    let server = serve(plain, |_, _| {}).await;
    let mut review = create(json!({"bad": "x"}));
    let denied = server.ask(review.to_string()).await;
    let before = server.admin("/metrics").await.1;
    review["request"]["dryRun"] = json!(true);
    let dry = server.ask(review.to_string()).await;
    assert_eq!(denied.response(), dry.response());
    let dry_runs = r#"stagegate_admission_dry_run_requests_total{decision="deny"}"#;
    assert_eq!(server.metric(dry_runs).await, 1.0);
    let after = server.admin("/metrics").await.1;
    let counted = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| {
            line.starts_with("stagegate_") && line.contains("_total") && !line.contains("dry_run")
        });
        lines.map(str::to_owned).collect()
    };
    assert_eq!(counted(&before), counted(&after));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_or_an_error_is_the_policys_own_and_no_dead_connection() {
    let source = || {
        let own = PolicySettings {
            on_error: Some(Enforcement::Warn),
            ..PolicySettings::default()
        };
        let settings = Settings {
            policies: [("b-fails".to_owned(), own)].into(),
            ..Settings::default()
        };
        let policies = vec![
            policy("a-panics", |cx| {
                assert!(no_bad_data(cx)?.is_empty(), "boom");
                Ok(Vec::new())
            }),
            policy("b-fails", |_| {
                Err(PolicyError::Failed("no idea".to_owned()))
            }),
        ];
        Ok(engine(policies, settings))
    };
    let server = serve_from(Arc::new(source), |_, _| {}).await;
    let mut http1 = server.http1().await;
    let bad = http1
        .ask("/validate", create(json!({"bad": "x"})).to_string())
        .await
        .unwrap();
    assert!(!bad.is_allowed());
    let message = bad.response()["status"]["message"].to_string();
    assert!(message.contains("a-panics: panicked"), "{message}");
    let good = http1
        .ask("/validate", create(json!({})).to_string())
        .await
        .unwrap();
    assert!(good.is_allowed());
    assert_eq!(
        good.response()["warnings"],
        json!(["b-fails: no idea"]),
        "the policy's onError"
    );
    let series = r#"stagegate_policy_evaluations_total{policy="b-fails",outcome="error"}"#;
    assert_eq!(server.metric(series).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_in_its_time_with_what_was_judged_by_then() {
    let policies = || {
        let mut policies = plain();
        // Each is quick, but all of them take five seconds.
        for id in (0..50).map(|i| format!("slow-{i:02}")) {
            policies.push(policy(id.leak(), |_| {
                std::thread::sleep(Duration::from_millis(100));
                Ok(Vec::new())
            }));
        }
        policies
    };
    let server = serve(policies, |_, _| {}).await;
    let mut http1 = server.http1().await;
    let began = Instant::now();
    let heard = http1
        .ask(
            "/validate?timeout=1s",
            create(json!({"bad": "x"})).to_string(),
        )
        .await
        .unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(
        took > Duration::from_millis(500),
        "it gave up after {took:?}"
    );
    let message = heard.response()["status"]["message"].to_string();
    assert!(message.contains("it is bad"), "{message}");
    assert!(
        message.contains("slow-49: not evaluated: the time for this review ran out"),
        "{message}"
    );
    assert!(!message.contains("slow-00: not evaluated"), "{message}");
    assert_eq!(
        server
            .metric("stagegate_admission_deadline_misses_total")
            .await,
        1.0
    );
}

/// A policy that does not come back keeps its thread, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_does_not_come_back_is_left_behind() {
    let gate = Arc::new(Gate::default());
    let policies = {
        let gate = Arc::clone(&gate);
        move || {
            let gate = Arc::clone(&gate);
            let mut policies = vec![policy("stuck", move |cx| {
                if !no_bad_data(cx)?.is_empty() {
                    gate.pass();
                }
                Ok(Vec::new())
            })];
            policies.extend(plain());
            policies
        }
    };
    let server = serve(policies, |options, _| {
        options.timeout = Duration::from_millis(500);
    })
    .await;
    let mut http2 = server.http2().await;
    let began = Instant::now();
    let heard = http2
        .ask("/validate", create(json!({"bad": "x"})).to_string())
        .await
        .unwrap();
    assert!(began.elapsed() < Duration::from_millis(500));
    let message = heard.response()["status"]["message"].to_string();
    assert!(
        message.contains("it is bad") && message.contains("stuck: not evaluated"),
        "{message}"
    );
    assert_eq!(gate.inside(), 1);
    // The other thread judges.
    assert!(server.ask(create(json!({})).to_string()).await.is_allowed());
    gate.open();
}
