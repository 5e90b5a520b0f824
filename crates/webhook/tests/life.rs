//! From readiness to the end: certificates and policies that change, signals, and what is answered
//! meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{
    Gate, ca, create, engine, no_bad_data, policy, serve, serve_from, trusting, write_pair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use stagegate_core::{Policy, Settings};
use stagegate_webhook::{Ended, PolicySet, PolicySource, Stop};

const LONG: Duration = Duration::from_secs(10);

fn plain() -> Vec<Box<dyn Policy>> {
    vec![policy("no-bad-data", no_bad_data)]
}

/// A policy that holds all requests until the gate is opened.
fn gated(gate: &Arc<Gate>) -> impl Fn() -> Vec<Box<dyn Policy>> + Send + Sync + 'static {
    let gate = Arc::clone(gate);
    move || {
        let gate = Arc::clone(&gate);
        vec![policy("gate", move |_| {
            gate.pass();
            Ok(Vec::new())
        })]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_loses_no_request_and_is_told_before() {
    let gate = Arc::new(Gate::default());
    let server = serve(gated(&gate), |options, _| {
        options.shutdown_delay = Duration::from_millis(600);
        options.timeout = Duration::from_secs(60);
    })
    .await;
    assert_eq!(server.admin("/readyz").await, (200, "ok\n".to_owned()));
    let body = create(json!({})).to_string();
    let mut clients = tokio::task::JoinSet::new();
    for i in 0..50 {
        let body = body.clone();
        if i % 2 == 0 {
            let mut http1 = server.http1().await;
            clients.spawn(async move { http1.ask("/validate", body).await.unwrap() });
        } else {
            let mut http2 = server.http2().await;
            clients.spawn(async move { http2.ask("/validate", body).await.unwrap() });
        }
    }
    let mut idle = server.http1().await;
    server
        .metric_becomes("stagegate_admission_requests_in_flight", 50.0)
        .await;
    let began = Instant::now();
    server.stop(Stop::Gently).await;
    while server.admin("/readyz").await.0 == 200 {
        assert!(began.elapsed() < LONG);
    }
    assert_eq!(server.admin("/readyz").await.1, "shutting down\n");
    assert_eq!(server.admin("/livez").await.0, 200);
    // Nobody else knows it yet: who comes now is served, and told to come to another next time.
    let new = {
        let mut http1 = server.http1().await;
        let body = body.clone();
        tokio::spawn(async move { http1.ask("/validate", body).await.unwrap() })
    };
    let kept = {
        let body = body.clone();
        tokio::spawn(async move { idle.ask("/validate", body).await.unwrap() })
    };
    server
        .metric_becomes("stagegate_admission_requests_in_flight", 52.0)
        .await;
    gate.open();
    for heard in [new.await.unwrap(), kept.await.unwrap()] {
        assert!(heard.is_allowed() && heard.closes);
    }
    let mut answered = 0;
    while let Some(heard) = clients.join_next().await {
        assert!(heard.unwrap().is_allowed());
        answered += 1;
    }
    assert_eq!(answered, 50);
    let address = server.address;
    assert_eq!(server.ended().await, Ended::Drained);
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

/// What is being judged when the delay is over is answered, too.
#[tokio::test(flavor = "multi_thread")]
async fn draining_waits_for_what_is_being_judged() {
    let gate = Arc::new(Gate::default());
    let server = serve(gated(&gate), |options, _| {
        options.timeout = Duration::from_secs(60);
    })
    .await;
    let mut http1 = server.http1().await;
    let asked = tokio::spawn(async move {
        let body = create(json!({})).to_string();
        http1.ask("/validate", body).await.unwrap()
    });
    while gate.inside() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut idle = server.http1().await;
    server.stop(Stop::Soon).await;
    // It closes what is idle, and takes nothing new.
    tokio::time::timeout(LONG, &mut idle.connection)
        .await
        .unwrap()
        .unwrap();
    gate.open();
    assert!(asked.await.unwrap().is_allowed());
    assert_eq!(server.ended().await, Ended::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_waits_for_nothing() {
    let gate = Arc::new(Gate::default());
    let server = serve(gated(&gate), |options, _| {
        options.shutdown_delay = Duration::from_secs(3600);
        options.timeout = Duration::from_secs(3600);
    })
    .await;
    let mut http1 = server.http1().await;
    let asked = tokio::spawn(async move {
        let body = create(json!({})).to_string();
        let _ = http1.ask("/validate", body).await;
    });
    while gate.inside() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.stop(Stop::Gently).await;
    server.stop(Stop::Gently).await;
    let ended = tokio::time::timeout(LONG, server.ended()).await.unwrap();
    assert_eq!(ended, Ended::Cut);
    gate.open();
    asked.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_served_and_a_bad_one_is_not() {
    let server = serve(plain, |_, _| {}).await;
    let body = create(json!({})).to_string();
    let mut kept = server.http1().await;
    let leaf = |stream: &tokio_rustls::client::TlsStream<tokio::net::TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let shown = async || {
        let stream = server.tls("http/1.1", server.client_config()).await;
        leaf(&stream.unwrap())
    };
    let mut last = shown().await;
    for i in 1..=3 {
        write_pair(&server.ca, server.folder.path(), |_| {});
        let reloads = r#"stagegate_certificate_reloads_total{result="success"}"#;
        let began = Instant::now();
        // Between the two files there may be a moment at which they do not fit.
        while server.metric(reloads).await < f64::from(i) {
            assert!(began.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let now = shown().await;
        assert_ne!(now, last);
        last = now;
        assert_eq!(server.admin("/readyz").await.0, 200);
    }
    let failures = r#"stagegate_certificate_reloads_total{result="failure"}"#;
    let before = server.metric(failures).await;
    let certificate = server.folder.path().join("tls.crt");
    let good = std::fs::read(&certificate).unwrap();
    std::fs::write(&certificate, &good[..good.len() / 2]).unwrap();
    server.metric_becomes(failures, before + 1.0).await;
    assert_eq!(shown().await, last);
    assert_eq!(server.admin("/readyz").await.0, 200);
    // It is told once, however often it is looked at.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.metric(failures).await, before + 1.0);
    // Connections that were there are there.
    assert!(kept.ask("/validate", body).await.unwrap().is_allowed());
    assert_eq!(
        server.metric("stagegate_connection_errors_total").await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_expired_is_not_ready() {
    let issuer = ca();
    let server = serve(plain, |_, folder| {
        write_pair(&issuer, folder, |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });
    })
    .await;
    let (status, why) = server.admin("/readyz").await;
    assert_eq!(status, 503);
    assert!(why.contains("expired at 2021-01-01"), "{why}");
    assert_eq!(server.admin("/livez").await.0, 200);
    let expiry = "stagegate_certificate_expiry_timestamp_seconds";
    assert_eq!(server.metric(expiry).await, 1_609_459_200.0);
    write_pair(&server.ca, server.folder.path(), |_| {});
    let began = Instant::now();
    while server.admin("/readyz").await.0 != 200 {
        assert!(began.elapsed() < LONG);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_have_to_show_a_certificate() {
    let clients = ca();
    let server = serve(plain, |options, folder| {
        let path = folder.join("ca.crt");
        std::fs::write(&path, clients.pem()).unwrap();
        options.tls.client_ca = Some(path);
    })
    .await;
    // The server dials itself without one, as far as it needs to.
    assert_eq!(server.admin("/readyz").await.0, 200);
    let failed = r#"stagegate_connection_errors_total{reason="handshake"}"#;
    assert_eq!(server.metric(failed).await, 0.0);
    let folder = tempfile::tempdir().unwrap();
    write_pair(&clients, folder.path(), |_| {});
    let pem = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(&pem("tls.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&pem("tls.key")).unwrap();
    let known = trusting(&server.ca).with_client_auth_cert(chain, key);
    for (config, is_let_in) in [(server.client_config(), false), (known.unwrap(), true)] {
        let heard = async {
            let stream = server.tls("http/1.1", config).await.ok()?;
            let io = hyper_util::rt::TokioIo::new(stream);
            let (sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
            let connection = tokio::spawn(async move {
                let _ = connection.await;
            });
            let mut http1 = common::Http1 { sender, connection };
            let body = create(json!({})).to_string();
            http1.ask("/validate", body).await.ok()
        };
        assert_eq!(heard.await.is_some(), is_let_in);
    }
    server.metric_becomes(failed, 1.0).await;
}

/// Policies that change under the test's hand: they deny `data.bad` of this value.
struct Changing {
    version: AtomicU64,
    loaded: Mutex<Result<&'static str, String>>,
}

impl Changing {
    fn to(&self, loaded: Result<&'static str, String>) {
        *self.loaded.lock().unwrap() = loaded;
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

impl PolicySource for Changing {
    fn look(&self) -> u128 {
        self.version.load(Ordering::SeqCst).into()
    }

    fn load(&self) -> Result<PolicySet, String> {
        let id = self.loaded.lock().unwrap().clone()?;
        Ok(engine(vec![policy(id, no_bad_data)], Settings::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_policies_judge_and_bad_ones_do_not() {
    let source = Arc::new(Changing {
        version: AtomicU64::new(0),
        loaded: Mutex::new(Ok("first")),
    });
    let given: Arc<dyn PolicySource> = Arc::<Changing>::clone(&source);
    let server = serve_from(given, |_, _| {}).await;
    let body = create(json!({"bad": "x"})).to_string();
    let denied_by = async || {
        let response = server.ask(body.clone()).await.response();
        let message = response["status"]["message"].as_str().unwrap().to_owned();
        let digest = response["auditAnnotations"]["policy-digest"].clone();
        (message.split(' ').next().unwrap().to_owned(), digest)
    };
    let first = denied_by().await;
    assert_eq!(first.0, "first");
    source.to(Ok("second"));
    server
        .metric_becomes(r#"stagegate_policy_reloads_total{result="success"}"#, 1.0)
        .await;
    let second = denied_by().await;
    assert_eq!(second.0, "second");
    assert_ne!(first.1, second.1);
    source.to(Err("stagegate.yaml:3:1: no".to_owned()));
    let failures = r#"stagegate_policy_reloads_total{result="failure"}"#;
    server.metric_becomes(failures, 1.0).await;
    assert_eq!(denied_by().await, second);
    assert_eq!(server.admin("/readyz").await.0, 200);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.metric(failures).await, 1.0, "it is tried once");
    source.to(Ok("third"));
    server
        .metric_becomes("stagegate_policy_generation", 3.0)
        .await;
    assert_eq!(denied_by().await.0, "third");
    let (_, text) = server.admin("/metrics").await;
    let sets = text
        .lines()
        .filter(|l| l.starts_with("stagegate_policy_set_info{"));
    assert_eq!(sets.count(), 1);
}
