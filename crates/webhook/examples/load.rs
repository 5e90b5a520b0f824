//! Asks a webhook again and again, and says how long answers took.
//!
//! `load ADDRESS CA [--deny] [--http2] [--close] [--connections N] [--streams N] [--bytes N] [--rate N]
//! [--seconds N]`
//!
//! Without `--rate` every connection asks as soon as it is answered. With it, requests are due at even
//! times, and what is late counts from when it was due: a server that stops for a second makes all that
//! was due in it late, and not one request. Every answer must carry the uid of its request and decide as
//! expected, or it is a failure. An HTTP/1.1 connection that the server says it closes, and one that it
//! closes before a request is sent on it, is replaced, as an API server replaces it.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

struct Arguments {
    address: String,
    denies: bool,
    http2: bool,
    close: bool,
    connections: usize,
    streams: usize,
    bytes: usize,
    rate: f64,
    time: Duration,
    tls: ClientConfig,
}

fn arguments() -> Arguments {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| all.iter().any(|a| a == name);
    let number = |name: &str, default: f64| -> f64 {
        let at = all.iter().position(|a| a == name);
        at.map_or(default, |at| all[at + 1].parse().expect("a number"))
    };
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(&all[1]).expect("the CA");
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Every handshake is a whole one, as an API server's first one is.
    tls.resumption = rustls::client::Resumption::disabled();
    let protocol = if has("--http2") { "h2" } else { "http/1.1" };
    tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arguments {
        address: all[0].clone(),
        denies: has("--deny"),
        http2: has("--http2"),
        close: has("--close"),
        connections: number("--connections", 16.0) as usize,
        streams: number("--streams", 1.0) as usize,
        bytes: number("--bytes", 6144.0) as usize,
        rate: number("--rate", 0.0),
        time: Duration::from_secs_f64(number("--seconds", 5.0)),
        tls,
    }
}

const UID: &str = "00000000-0000-0000-0000-000000000000";

/// A Deployment as an API server sends it, filled up to the size with variables of its container; a
/// ConfigMap where a Deployment would not fit.
fn body(arguments: &Arguments) -> String {
    let resources = json!({"cpu": "100m", "memory": "128Mi"});
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "api", "namespace": "shop", "generation": 1, "uid": UID,
            "creationTimestamp": "2026-11-21T10:00:00Z", "labels": {"app": "api"},
        },
        "spec": {
            "replicas": 3, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": "api"}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "template": {
                "metadata": {"labels": {"app": "api"}},
                "spec": {
                    "containers": [{
                        "name": "api", "image": "registry.example.com/shop/api:1.2.3",
                        "imagePullPolicy": "IfNotPresent", "env": [],
                        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
                        "resources": {"limits": resources, "requests": resources},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                    }],
                    "dnsPolicy": "ClusterFirst", "priorityClassName": "shop",
                    "restartPolicy": "Always", "schedulerName": "default-scheduler",
                    "securityContext": {}, "terminationGracePeriodSeconds": 30,
                },
            },
        },
    });
    if arguments.denies {
        deployment["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
    }
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"}, "data": {},
    });
    let is_small = arguments.bytes < 2048;
    let object = if is_small { config_map } else { deployment };
    let plural = if is_small {
        "configmaps"
    } else {
        "deployments"
    };
    let kind = object["kind"].clone();
    let mut review = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": UID, "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": plural},
            "name": object["metadata"]["name"], "namespace": "shop", "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:argocd:argocd-application-controller",
                "groups": ["system:serviceaccounts", "system:authenticated"],
            },
            "object": object, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    let mut missing = arguments.bytes.saturating_sub(review.to_string().len());
    for i in 0.. {
        if missing < 60 {
            break;
        }
        let name = format!("VARIABLE_{i:06}");
        let added = if is_small {
            let data = &mut review["request"]["object"]["data"];
            data[name] = json!("a value of some length");
            43
        } else {
            let container =
                &mut review["request"]["object"]["spec"]["template"]["spec"]["containers"][0];
            let env = container["env"].as_array_mut().unwrap();
            env.push(json!({"name": name, "value": "a value of some length"}));
            61
        };
        missing -= added;
    }
    review.to_string()
}

enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

struct Client {
    arguments: Arguments,
    connector: TlsConnector,
    body: String,
    began: OnceLock<Instant>,
    /// How many requests have been begun, all clients together.
    next: AtomicU64,
    reconnects: AtomicU64,
    due: Semaphore,
}

impl Client {
    /// When everybody is connected.
    fn began(&self) -> Instant {
        *self.began.get_or_init(Instant::now)
    }

    fn due_at(&self, i: u64) -> Instant {
        self.began() + Duration::from_secs_f64(i as f64 / self.arguments.rate)
    }

    /// Says when requests are due, on a thread of its own: the runtime's clock ticks once a millisecond,
    /// which is longer than an answer takes, and waiting for it busily would take a core.
    fn pace(&self) {
        for i in 0.. {
            let due = self.due_at(i);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.due.add_permits(1);
            if due.duration_since(self.began()) > self.arguments.time {
                // Everybody hears that it is over.
                self.due
                    .add_permits(self.arguments.connections * self.arguments.streams);
                return;
            }
        }
    }

    async fn connect(&self) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(&self.arguments.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TokioIo::new(self.connector.connect(name, stream).await?);
        let broken = std::io::Error::other;
        Ok(if self.arguments.http2 {
            let handshake = http2::handshake(TokioExecutor::new(), stream);
            let (sender, connection) = handshake.await.map_err(broken)?;
            tokio::spawn(connection);
            Connection::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await.map_err(broken)?;
            tokio::spawn(connection);
            Connection::Http1(sender)
        })
    }

    fn request(&self, uid: &str) -> Request<Full<Bytes>> {
        let body = self.body.replace(UID, uid);
        Request::post("https://localhost/validate?timeout=10s")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap()
    }

    /// Asks once. Gives why, if the answer is not right.
    async fn ask(&self, connection: &mut Option<Connection>, i: u64) -> Result<(), String> {
        let uid = format!("00000000-0000-0000-0000-{i:012}");
        let mut attempts = 0;
        let response = loop {
            // A connection that ended while nothing was asked is replaced; that is no failure.
            let is_ready = match connection {
                Some(Connection::Http1(sender)) => sender.ready().await.is_ok(),
                Some(Connection::Http2(sender)) => sender.ready().await.is_ok(),
                None => false,
            };
            if !is_ready {
                self.reconnects.fetch_add(1, Ordering::Relaxed);
                let connected = self.connect().await.map_err(|e| format!("connect: {e}"))?;
                *connection = Some(connected);
                continue;
            }
            let request = self.request(&uid);
            let sent = match connection {
                Some(Connection::Http1(sender)) => sender.try_send_request(request).await,
                Some(Connection::Http2(sender)) => sender.try_send_request(request).await,
                None => continue,
            };
            match sent {
                Ok(response) => break response,
                Err(mut error) => {
                    *connection = None;
                    // What was not sent at all may be sent again.
                    let unsent = error.take_message().is_some();
                    if !unsent || attempts > 2 {
                        return Err(format!("send: {}", error.into_error()));
                    }
                    attempts += 1;
                }
            }
        };
        let closes = response
            .headers()
            .get("connection")
            .is_some_and(|c| c == "close");
        let right = self.check(response, &uid).await;
        if closes || self.arguments.close {
            *connection = None;
        }
        right
    }

    async fn check(&self, response: Response<Incoming>, uid: &str) -> Result<(), String> {
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|e| format!("body: {e}"))?.to_bytes();
        if status != 200 {
            return Err(format!(
                "{status}: {}",
                String::from_utf8_lossy(&body).trim()
            ));
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        let answer = &answer["response"];
        if answer["uid"] != uid {
            return Err(format!("the uid is {}", answer["uid"]));
        }
        if answer["allowed"] == self.arguments.denies {
            return Err(format!(
                "allowed is {}: {}",
                answer["allowed"], answer["status"]["message"]
            ));
        }
        Ok(())
    }

    /// One after the other until the time is over.
    async fn run(self: Arc<Self>, mut connection: Option<Connection>) -> Outcome {
        let mut outcome = Outcome::default();
        loop {
            let mut i = 0;
            if self.arguments.rate == 0.0 {
                i = self.next.fetch_add(1, Ordering::Relaxed);
            }
            let mut due = Instant::now();
            if self.arguments.rate > 0.0 {
                // A permit for each request that is due; the first that waits takes the next number.
                self.due.acquire().await.unwrap().forget();
                i = self.next.fetch_add(1, Ordering::Relaxed);
                due = self.due_at(i);
            }
            if due.duration_since(self.began()) > self.arguments.time {
                return outcome;
            }
            match self.ask(&mut connection, i).await {
                Ok(()) => outcome.times.push(due.elapsed()),
                Err(error) => {
                    outcome.failed += 1;
                    outcome.error.get_or_insert(error);
                }
            }
        }
    }
}

#[derive(Default)]
struct Outcome {
    times: Vec<Duration>,
    failed: u64,
    error: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = arguments();
    let body = body(&arguments);
    let client = Arc::new(Client {
        connector: TlsConnector::from(Arc::new(arguments.tls.clone())),
        body,
        began: OnceLock::new(),
        next: AtomicU64::new(0),
        reconnects: AtomicU64::new(0),
        due: Semaphore::new(0),
        arguments,
    });
    let mut connections = Vec::new();
    for _ in 0..client.arguments.connections {
        connections.push(if client.arguments.close {
            None
        } else {
            Some(client.connect().await.expect("nobody listens"))
        });
    }
    client.began();
    let mut clients = tokio::task::JoinSet::new();
    for first in connections {
        for _ in 1..client.arguments.streams {
            let shared = match &first {
                Some(Connection::Http2(sender)) => Some(Connection::Http2(sender.clone())),
                _ => None,
            };
            clients.spawn(Arc::clone(&client).run(shared));
        }
        clients.spawn(Arc::clone(&client).run(first));
    }
    if client.arguments.rate > 0.0 {
        let pacer = Arc::clone(&client);
        std::thread::spawn(move || pacer.pace());
    }
    let mut all = Outcome::default();
    while let Some(outcome) = clients.join_next().await {
        let outcome = outcome.unwrap();
        all.times.extend(outcome.times);
        all.failed += outcome.failed;
        all.error = all.error.or(outcome.error);
    }
    let seconds = client.began().elapsed().as_secs_f64();
    let mut times = Histogram::<u64>::new(3).unwrap();
    for took in &all.times {
        times.record(took.as_nanos() as u64).unwrap();
    }
    let milliseconds = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e6;
    let report = json!({
        "bytes": client.body.len(), "failed": all.failed, "error": all.error, "seconds": seconds,
        "per second": times.len() as f64 / seconds,
        "connections": client.reconnects.load(Ordering::Relaxed),
        "requests": times.len(), "p50 ms": milliseconds(0.5), "p99 ms": milliseconds(0.99),
        "p99.9 ms": milliseconds(0.999), "max ms": times.max() as f64 / 1e6,
    });
    println!("{report}");
    if all.failed > 0 {
        std::process::exit(1);
    }
}
