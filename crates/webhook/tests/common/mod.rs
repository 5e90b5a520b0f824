//! A server in this process, and clients of it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests, each of which uses a part"
)]

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::WantsClientCert;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use serde_json::{Value, json};
use stagegate_core::{
    Context, Cursor, Enforcement, Engine, Meta, Policy, PolicyError, Settings, Violation,
};
use stagegate_webhook::{
    CertificateFiles, Ended, Options, PolicySet, PolicySource, ServeError, Server, Stop,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub type Issuer = CertifiedIssuer<'static, KeyPair>;
pub type Answer = dyn Fn(&Context<'_>) -> Result<Vec<Violation>, PolicyError> + Send + Sync;

/// A CA.
pub fn ca() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A client that trusts a CA.
pub fn trusting(ca: &Issuer) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

/// Writes a certificate for this machine and its key.
pub fn write_pair(issuer: &Issuer, folder: &Path, change: impl FnOnce(&mut CertificateParams)) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
}

struct Rule(Meta, Box<Answer>);

impl Policy for Rule {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        (self.1)(cx)
    }
}

/// A policy that denies what the function says.
pub fn policy(
    id: &'static str,
    answer: impl Fn(&Context<'_>) -> Result<Vec<Violation>, PolicyError> + Send + Sync + 'static,
) -> Box<dyn Policy> {
    let meta = Meta {
        enforcement: Enforcement::Deny,
        ..Meta::native(id, "test", "", "")
    };
    Box::new(Rule(meta, Box::new(answer)))
}

/// Denies objects with `data.bad`, by its value.
pub fn no_bad_data(cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
    let Some(object) = cx.object() else {
        return Ok(Vec::new());
    };
    let root = Cursor::root(&object.node);
    let data = root.member("data");
    let bad = data.member("bad");
    let value = bad.node().and_then(|node| node.as_str());
    let violation = value.map(|value| Violation::of_value(&bad, value, "it is bad".to_owned()));
    Ok(violation.into_iter().collect())
}

/// Holds who passes until it is opened, and counts who is inside.
#[derive(Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    open: bool,
    inside: usize,
    most: usize,
    passed: usize,
}

impl Gate {
    pub fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.inside += 1;
        state.passed += 1;
        state.most = state.most.max(state.inside);
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |s| !s.open).unwrap();
        state.inside -= 1;
    }

    pub fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }

    pub fn inside(&self) -> usize {
        self.state.lock().unwrap().inside
    }

    /// How many were inside at once at most, and how many there were.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.most, state.passed)
    }
}

/// An engine of policies.
pub fn engine(policies: Vec<Box<dyn Policy>>, settings: Settings) -> PolicySet {
    PolicySet::new(Engine::new(policies, settings).unwrap(), None)
}

/// A server that runs.
pub struct Running {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub ca: Issuer,
    pub folder: TempDir,
    stops: mpsc::Sender<Stop>,
    ended: JoinHandle<Result<Ended, ServeError>>,
}

/// Serves with policies that do not change.
pub async fn serve(
    policies: impl Fn() -> Vec<Box<dyn Policy>> + Send + Sync + 'static,
    change: impl FnOnce(&mut Options, &Path),
) -> Running {
    let source = move || Ok(engine(policies(), Settings::default()));
    serve_from(Arc::new(source), change).await
}

/// Serves with policies from somewhere.
pub async fn serve_from(
    source: Arc<dyn PolicySource>,
    change: impl FnOnce(&mut Options, &Path),
) -> Running {
    let ca = ca();
    let folder = tempfile::tempdir().unwrap();
    write_pair(&ca, folder.path(), |_| {});
    let mut options = Options::new(
        "127.0.0.1:0".parse().unwrap(),
        "127.0.0.1:0".parse().unwrap(),
        CertificateFiles {
            certificate: folder.path().join("tls.crt"),
            key: folder.path().join("tls.key"),
            client_ca: None,
        },
    );
    options.workers = NonZeroUsize::new(2).unwrap();
    options.poll = Duration::from_millis(20);
    options.shutdown_delay = Duration::ZERO;
    change(&mut options, folder.path());
    let server = Server::start(options, source).await.unwrap();
    let (address, admin) = (server.address().unwrap(), server.admin_address().unwrap());
    let (stops, stopped) = mpsc::channel(2);
    Running {
        address,
        admin,
        ca,
        folder,
        stops,
        ended: tokio::spawn(server.run(stopped)),
    }
}

impl Running {
    pub async fn stop(&self, stop: Stop) {
        self.stops.send(stop).await.unwrap();
    }

    pub async fn ended(self) -> Ended {
        self.ended.await.unwrap().unwrap()
    }

    pub fn client_config(&self) -> ClientConfig {
        trusting(&self.ca).with_no_client_auth()
    }

    pub async fn tls(
        &self,
        protocol: &str,
        mut config: ClientConfig,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    pub async fn http1(&self) -> Http1 {
        let stream = self.tls("http/1.1", self.client_config()).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        Http1 {
            sender,
            connection: tokio::spawn(async move {
                let _ = connection.await;
            }),
        }
    }

    pub async fn http2(&self) -> Http2 {
        let stream = self.tls("h2", self.client_config()).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        Http2 {
            sender,
            connection: tokio::spawn(async move {
                let _ = connection.await;
            }),
        }
    }

    /// Asks once, by a connection of its own.
    pub async fn ask(&self, body: impl Into<Bytes>) -> Heard {
        self.http1().await.ask("/validate", body).await.unwrap()
    }

    /// What health and metrics say.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let stream = TcpStream::connect(self.admin).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Full::<Bytes>::default())
            .unwrap();
        let heard = Heard::of(sender.send_request(request).await.unwrap()).await;
        (heard.status, heard.body)
    }

    /// The value of a metric; 0 where nothing was counted.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits for a metric.
    pub async fn metric_becomes(&self, series: &str, value: f64) {
        let began = Instant::now();
        loop {
            let now = self.metric(series).await;
            if now == value {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{series} is {now}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A connection.
pub struct Http1 {
    pub sender: http1::SendRequest<Full<Bytes>>,
    pub connection: JoinHandle<()>,
}

/// A connection.
pub struct Http2 {
    pub sender: http2::SendRequest<Full<Bytes>>,
    pub connection: JoinHandle<()>,
}

/// An answer.
#[derive(Debug)]
pub struct Heard {
    pub status: u16,
    pub closes: bool,
    pub body: String,
}

impl Heard {
    async fn of(response: Response<Incoming>) -> Heard {
        Heard {
            status: response.status().as_u16(),
            closes: response
                .headers()
                .get("connection")
                .is_some_and(|c| c == "close"),
            body: {
                let bytes = response.into_body().collect().await.unwrap().to_bytes();
                String::from_utf8(bytes.to_vec()).unwrap()
            },
        }
    }

    /// The response of the AdmissionReview.
    pub fn response(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        let review: Value = serde_json::from_str(&self.body).unwrap();
        review["response"].clone()
    }

    pub fn is_allowed(&self) -> bool {
        self.response()["allowed"] == true
    }
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(format!("https://localhost{path}"))
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

impl Http1 {
    pub async fn ask(&mut self, path: &str, body: impl Into<Bytes>) -> hyper::Result<Heard> {
        self.sender.ready().await?;
        Ok(Heard::of(self.sender.send_request(post(path, body)).await?).await)
    }
}

impl Http2 {
    pub async fn ask(&mut self, path: &str, body: impl Into<Bytes>) -> hyper::Result<Heard> {
        self.sender.ready().await?;
        Ok(Heard::of(self.sender.send_request(post(path, body)).await?).await)
    }
}

/// A request to create a ConfigMap.
pub fn create(data: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "0-1-2",
            "operation": "CREATE",
            "namespace": "shop",
            "userInfo": {"username": "jane"},
            "object": config_map(data),
        },
    })
}

/// A request to change one.
pub fn update(old: Value, new: Value) -> Value {
    let mut review = create(json!({}));
    review["request"]["operation"] = json!("UPDATE");
    review["request"]["object"] = new;
    review["request"]["oldObject"] = old;
    review
}

pub fn config_map(data: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"},
        "data": data,
    })
}
