//! More requests than can be judged, more bytes than there is room for, and clients that go away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Gate, create, engine, no_bad_data, policy, serve, serve_from};
use serde_json::json;
use stagegate_core::{Enforcement, PolicySettings, Settings};

/// Ten times as much as can be judged: everything is answered in its time, by what each policy wants
/// then, and what is judged is judged in its time, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_answered_in_time_and_by_each_policys_own_choice() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let source = || {
        let own = PolicySettings {
            on_overload: Some(Enforcement::Warn),
            ..PolicySettings::default()
        };
        let settings = Settings {
            policies: [("b-lenient".to_owned(), own)].into(),
            ..Settings::default()
        };
        let slow = |id| {
            policy(id, |cx| {
                std::thread::sleep(Duration::from_millis(10));
                no_bad_data(cx)
            })
        };
        Ok(engine(vec![slow("a-strict"), slow("b-lenient")], settings))
    };
    let server = serve_from(Arc::new(source), |options, _| {
        options.timeout = TIMEOUT;
        options.workers = NonZeroUsize::MIN;
    })
    .await;
    let http2 = server.http2().await;
    let mut asked = tokio::task::JoinSet::new();
    // One thread judges about 20 in that time.
    for _ in 0..200 {
        let mut http2 = common::Http2 {
            sender: http2.sender.clone(),
            connection: tokio::spawn(async {}),
        };
        asked.spawn(async move {
            let began = Instant::now();
            let heard = http2.ask("/validate", create(json!({})).to_string()).await;
            (heard.unwrap(), began.elapsed())
        });
    }
    let (mut judged, mut shed) = (0, 0);
    while let Some(answered) = asked.join_next().await {
        let (heard, took) = answered.unwrap();
        assert!(took < TIMEOUT, "{took:?}");
        if heard.is_allowed() {
            judged += 1;
            continue;
        }
        let message = heard.response()["status"]["message"].to_string();
        if message.contains("a-strict: not evaluated: there are more requests") {
            assert_eq!(
                heard.response()["warnings"],
                json!(["b-lenient: not evaluated: there are more requests than can be judged"])
            );
            shed += 1;
        } else {
            // It was its turn just before the end.
            assert!(
                message.contains("time for this review ran out"),
                "{message}"
            );
        }
    }
    assert!(judged >= 5, "{judged} judged");
    assert!(shed >= 150, "{shed} shed");
    let series = r#"stagegate_admission_shed_requests_total{reason="judging"}"#;
    assert_eq!(server.metric(series).await, f64::from(shed));
    let series = r#"stagegate_policy_evaluations_total{policy="a-strict",outcome="overload"}"#;
    assert_eq!(server.metric(series).await, f64::from(shed));
    for gauge in [
        "requests_in_flight",
        "requests_queued",
        "body_bytes_in_flight",
    ] {
        let gauge = format!("stagegate_admission_{gauge}");
        server.metric_becomes(&gauge, 0.0).await;
    }
    assert!(server.ask(create(json!({})).to_string()).await.is_allowed());
}

/// Who goes away stops what is done for him, and nobody is judged beyond the number of threads.
#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_waits_for_stops_at_the_next_policy() {
    const CLIENTS: usize = 300;
    let gate = Arc::new(Gate::default());
    let after = Arc::new(AtomicUsize::new(0));
    let policies = {
        let (gate, after) = (Arc::clone(&gate), Arc::clone(&after));
        move || {
            let (gate, after) = (Arc::clone(&gate), Arc::clone(&after));
            vec![
                policy("a-gate", move |_| {
                    gate.pass();
                    Ok(Vec::new())
                }),
                policy("b-after", move |_| {
                    after.fetch_add(1, Ordering::Relaxed);
                    Ok(Vec::new())
                }),
            ]
        }
    };
    let server = serve(policies, |options, _| {
        options.timeout = Duration::from_secs(60);
    })
    .await;
    let server = Arc::new(server);
    let mut clients = tokio::task::JoinSet::new();
    for i in 0..CLIENTS {
        let server = Arc::clone(&server);
        clients.spawn(async move {
            let body = create(json!({})).to_string();
            if i % 2 == 0 {
                let mut http1 = server.http1().await;
                let _ = http1.ask("/validate", body).await;
                return;
            }
            let mut http2 = server.http2().await;
            let _ = http2.ask("/validate", body).await;
        });
    }
    let in_flight = "stagegate_admission_requests_in_flight";
    server.metric_becomes(in_flight, CLIENTS as f64).await;
    clients.abort_all();
    while clients.join_next().await.is_some() {}
    server.metric_becomes(in_flight, 0.0).await;
    server
        .metric_becomes("stagegate_admission_aborted_requests_total", CLIENTS as f64)
        .await;
    // The two that had begun still hold their threads, and what they hold.
    assert_eq!(gate.inside(), 2);
    assert!(
        server
            .metric("stagegate_admission_body_bytes_in_flight")
            .await
            > 0.0
    );
    gate.open();
    server
        .metric_becomes("stagegate_admission_body_bytes_in_flight", 0.0)
        .await;
    assert_eq!(after.load(Ordering::Relaxed), 0, "it went on for nobody");
    assert_eq!(gate.counts(), (2, 2), "what waited never began");
    assert!(server.ask(create(json!({})).to_string()).await.is_allowed());
    assert_eq!(after.load(Ordering::Relaxed), 1);
}

/// Fifty bodies of 3 MiB, and room for five of them: the others wait, or are refused.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_in_flight_are_bounded() {
    const ROOM: usize = 16 << 20;
    let policies = || vec![policy("no-bad-data", no_bad_data)];
    let server = serve(policies, |options, _| {
        options.bodies.in_flight = ROOM;
    })
    .await;
    let server = Arc::new(server);
    let body = bytes::Bytes::from(create(json!({"text": "x".repeat(3 << 20)})).to_string());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (server, body) = (Arc::clone(&server), body.clone());
        clients.spawn(async move { server.ask(body).await.status });
    }
    let mut most = 0.0_f64;
    let mut answers = [0, 0];
    while !clients.is_empty() {
        tokio::select! {
            Some(status) = clients.join_next() => match status.unwrap() {
                200 => answers[0] += 1,
                503 => answers[1] += 1,
                other => panic!("{other}"),
            },
            now = server.metric("stagegate_admission_body_bytes_in_flight") => {
                most = most.max(now);
            }
        }
    }
    assert!(answers[0] >= 5, "{answers:?}");
    assert!(most > 0.0 && most <= ROOM as f64, "{most}");
    server
        .metric_becomes("stagegate_admission_body_bytes_in_flight", 0.0)
        .await;

    // Where there is never room, it is said in time.
    let gate = Arc::new(Gate::default());
    let policies = {
        let gate = Arc::clone(&gate);
        move || {
            let gate = Arc::clone(&gate);
            vec![policy("gate", move |_| {
                gate.pass();
                Ok(Vec::new())
            })]
        }
    };
    let server = serve(policies, |options, _| {
        options.bodies.in_flight = 4 << 20;
        options.bodies.most = 4 << 20;
        options.timeout = Duration::from_secs(2);
    })
    .await;
    let server = Arc::new(server);
    let first = {
        let (server, body) = (Arc::clone(&server), body.clone());
        tokio::spawn(async move { server.ask(body).await.status })
    };
    while gate.inside() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let began = Instant::now();
    assert_eq!(server.ask(body).await.status, 503);
    assert!(began.elapsed() < Duration::from_secs(2));
    let series = r#"stagegate_admission_shed_requests_total{reason="bytes"}"#;
    assert_eq!(server.metric(series).await, 1.0);
    // The first one was answered in its time, too, though it is still judged.
    assert_eq!(first.await.unwrap(), 200);
    gate.open();
}
