//! A process that has no descriptor left. A test of its own, since the limit is that of the process.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::fs::File;
use std::time::Duration;

use common::{create, no_bad_data, policy, serve};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_accepted_waits_and_nothing_spins() {
    let server = serve(|| vec![policy("no-bad-data", no_bad_data)], |_, _| {}).await;
    let few = Rlimit {
        current: Some(100),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    // One is left for this side of the connection, and none for the other.
    files.pop();
    let client = TcpStream::connect(server.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    files.clear();
    drop(client);
    assert!(server.ask(create(json!({})).to_string()).await.is_allowed());
    let series = r#"stagegate_connection_errors_total{reason="accept"}"#;
    let refused = server.metric(series).await;
    assert!((1.0..20.0).contains(&refused), "{refused} attempts");
}
