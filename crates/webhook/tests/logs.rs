//! What is logged, by this crate and all that it uses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::io;
use std::sync::{Arc, Mutex};

use common::{create, no_bad_data, policy, serve};
use serde_json::json;
use stagegate_core::{Policy, PolicyError};

#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// At the level that says everything, on both protocols: objects, their old ones, what cannot be decoded,
/// what policies say that fail.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_judged_is_logged_at_any_level() {
    let logs = Logs::default();
    let writer = logs.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .json()
        .with_writer(move || writer.clone())
        .init();
    let policies = || -> Vec<Box<dyn Policy>> {
        vec![
            policy("denies", no_bad_data),
            policy("fails", |_| {
                Err(PolicyError::Failed("it holds hunter2-swordfish".to_owned()))
            }),
        ]
    };
    let server = serve(policies, |_, _| {}).await;
    let mut review = create(json!({"bad": "hunter2-swordfish"}));
    review["request"]["oldObject"] = review["request"]["object"].clone();
    review["request"]["userInfo"]["extra"] = json!({"token": ["hunter2-swordfish"]});
    let (mut http1, mut http2) = (server.http1().await, server.http2().await);
    for body in [
        review.to_string(),
        "{\"kind\": \"hunter2-swordfish\"}".to_owned(),
        "hunter2-swordfish".to_owned(),
    ] {
        for _ in 0..2 {
            http1
                .ask("/validate?timeout=5s", body.clone())
                .await
                .unwrap();
            http2
                .ask("/validate?timeout=5s", body.clone())
                .await
                .unwrap();
        }
    }
    server.admin("/metrics").await;
    let logs = String::from_utf8(logs.0.lock().unwrap().clone()).unwrap();
    assert!(logs.contains("\"level\":\"TRACE\""));
    assert!(logs.contains("\"decision\":\"deny\""));
    assert!(logs.contains("a policy could not judge"));
    assert!(!logs.contains("hunter2"), "{logs}");
}
