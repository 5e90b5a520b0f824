//! Connections that say nothing, too little or too slowly, too many of them, and those that are used
//! too long.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Running, create, no_bad_data, policy, serve};
use serde_json::json;
use stagegate_core::Policy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SHORT: Duration = Duration::from_millis(300);
/// Long enough for a machine that does other things, too.
const LONG: Duration = Duration::from_secs(10);

fn plain() -> Vec<Box<dyn Policy>> {
    vec![policy("no-bad-data", no_bad_data)]
}

async fn asks(server: &Running) {
    assert!(server.ask(create(json!({})).to_string()).await.is_allowed());
}

/// Reads to the end, which must come.
async fn ends(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    let reading = stream.read_to_end(&mut read);
    // However it ends, it ends.
    let _ = tokio::time::timeout(LONG, reading)
        .await
        .expect("the server keeps the connection");
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_too_little_is_left() {
    let server = serve(plain, |options, _| {
        options.connections.handshake = SHORT;
        options.connections.head = SHORT;
        options.bodies.time = SHORT;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut slow_heads = Vec::new();
    for protocol in ["http/1.1", "h2"] {
        let mut stream = server.tls(protocol, server.client_config()).await.unwrap();
        if protocol == "http/1.1" {
            stream
                .write_all(b"POST /validate HTTP/1.1\r\nHost: x\r\nX: ")
                .await
                .unwrap();
        }
        slow_heads.push(stream);
    }
    let mut slow_body = server
        .tls("http/1.1", server.client_config())
        .await
        .unwrap();
    slow_body
        .write_all(b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        .await
        .unwrap();
    // Those who have something to ask are answered meanwhile, and keep their connections.
    let mut kept = server.http1().await;
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < SHORT * 4 {
        let asked = Instant::now();
        let body = create(json!({})).to_string();
        assert!(kept.ask("/validate", body).await.unwrap().is_allowed());
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(SHORT / 10).await;
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    for stream in &mut silent {
        ends(stream).await;
    }
    for stream in &mut slow_heads {
        ends(stream).await;
    }
    let told = String::from_utf8(ends(&mut slow_body).await).unwrap();
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    // A connection that has asked before may be idle for longer than a head may take.
    tokio::time::sleep(SHORT * 2).await;
    let body = create(json!({})).to_string();
    assert!(kept.ask("/validate", body).await.unwrap().is_allowed());
    let failed = |reason| format!("stagegate_connection_errors_total{{reason=\"{reason}\"}}");
    server
        .metric_becomes(&failed("handshake_timeout"), 1000.0)
        .await;
    server.metric_becomes(&failed("head_timeout"), 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_idle_for_long_is_left() {
    let server = serve(plain, |options, _| options.connections.idle = SHORT).await;
    let (mut http1, mut http2) = (server.http1().await, server.http2().await);
    let body = create(json!({})).to_string();
    http1.ask("/validate", body.clone()).await.unwrap();
    http2.ask("/validate", body).await.unwrap();
    for connection in [http1.connection, http2.connection] {
        tokio::time::timeout(LONG, connection)
            .await
            .unwrap()
            .unwrap();
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Nothing is left of connections that have ended.
#[test]
fn thousands_of_short_connections_leave_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = Arc::new(serve(plain, |_, _| {}).await);
        asks(&server).await;
        server.metric_becomes("stagegate_connections", 0.0).await;
        let metrics = tokio::runtime::Handle::current().metrics();
        // What health was asked by ends a moment later.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = (metrics.num_alive_tasks(), descriptors());
        for _ in 0..100 {
            let mut clients = tokio::task::JoinSet::new();
            for i in 0..100 {
                let server = Arc::clone(&server);
                clients.spawn(async move {
                    // Most end before they have said anything, as probes and scanners do.
                    if i % 20 == 0 {
                        asks(&server).await;
                    } else {
                        TcpStream::connect(server.address).await.unwrap();
                    }
                });
            }
            while let Some(done) = clients.join_next().await {
                done.unwrap();
            }
        }
        server.metric_becomes("stagegate_connections", 0.0).await;
        let began = Instant::now();
        loop {
            let after = (metrics.num_alive_tasks(), descriptors());
            if after.0 <= before.0 && after.1 <= before.1 {
                break;
            }
            assert!(began.elapsed() < LONG, "{before:?} {after:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

/// Who comes when there are as many as there may be waits until one goes.
#[tokio::test(flavor = "multi_thread")]
async fn there_are_never_more_connections_than_there_may_be() {
    let server = serve(plain, |options, _| {
        options.connections.most = 3;
        options.connections.handshake = SHORT;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    server.metric_becomes("stagegate_connections", 3.0).await;
    asks(&server).await;
    assert!(server.metric("stagegate_connections").await <= 3.0);
}

/// A connection is not used for ever, and nothing that is asked on it is lost when it ends.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_recycled_by_use_and_by_age() {
    let server = serve(plain, |options, _| options.connections.max_requests = 3).await;
    let body = create(json!({})).to_string();
    let mut http1 = server.http1().await;
    for closes in [false, false, true] {
        let heard = http1.ask("/validate", body.clone()).await.unwrap();
        assert!(heard.is_allowed());
        assert_eq!(heard.closes, closes);
    }
    http1.connection.await.unwrap();
    let mut http2 = server.http2().await;
    for _ in 0..3 {
        let heard = http2.ask("/validate", body.clone()).await;
        assert!(heard.unwrap().is_allowed());
    }
    http2.connection.await.unwrap();

    let server = serve(plain, |options, _| options.connections.max_age = SHORT).await;
    let (mut http1, mut http2) = (server.http1().await, server.http2().await);
    for i in 0.. {
        let heard = http1.ask("/validate", body.clone()).await.unwrap();
        assert!(heard.is_allowed() && i < 1000);
        if heard.closes {
            break;
        }
        tokio::time::sleep(SHORT / 10).await;
    }
    // Where it says goodbye first, what was asked before is answered all the same.
    while let Ok(heard) = http2.ask("/validate", body.clone()).await {
        assert!(heard.is_allowed());
        tokio::time::sleep(SHORT / 10).await;
    }
    http2.connection.await.unwrap();
}
