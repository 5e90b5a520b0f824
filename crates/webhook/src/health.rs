//! Health and metrics, in the clear and apart from what judges.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use crate::Certificates;
use crate::connection::Phase;
use crate::metrics::Metrics;
use crate::validate::Validator;

/// A server that does not shake hands with itself in this time is no help to others.
const DIAL: Duration = Duration::from_secs(2);
/// Who asks more often hears the same.
const FRESH: Duration = Duration::from_secs(1);

/// The connections by which a server dials itself, from the dial until it is accepted.
#[derive(Default)]
pub(crate) struct OwnDials(Mutex<BTreeSet<SocketAddr>>);

impl OwnDials {
    /// Whether a connection that was accepted is one of them.
    pub(crate) fn accepted(&self, peer: SocketAddr) -> bool {
        self.addresses().remove(&peer)
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, BTreeSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What health is asked of.
pub(crate) struct Health {
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) validator: Arc<Validator>,
    pub(crate) own_dials: Arc<OwnDials>,
    /// Where the server is asked to judge.
    pub(crate) address: SocketAddr,
    pub(crate) last_dial: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
}

/// `/livez`, `/readyz` and `/metrics`.
pub(crate) fn router(health: Arc<Health>) -> Router {
    Router::new()
        // That it answers is all that there is to know.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    match health.why_not_ready().await {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Response<Body> {
    let waiting = health.validator.judging.waiting();
    let metrics = &health.metrics;
    metrics
        .queued
        .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    let Ok(text) = metrics.text() else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    let mut response = Response::new(Body::from(text));
    let form =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, form);
    response
}

impl Health {
    async fn why_not_ready(&self) -> Option<String> {
        if *self.phase.borrow() != Phase::Serving {
            return Some("shutting down".to_owned());
        }
        let expires = self.certificates.serving().expires;
        if expires <= Timestamp::now() {
            return Some(format!("the certificate expired at {expires}"));
        }
        // One at a time: whoever else asks waits for the same answer.
        let mut last = self.last_dial.lock().await;
        if last.as_ref().is_none_or(|(when, _)| when.elapsed() > FRESH) {
            let dialled = tokio::time::timeout(DIAL, self.dial()).await;
            let dialled = dialled.unwrap_or_else(|_| Err(format!("no handshake within {DIAL:?}")));
            *last = Some((Instant::now(), dialled));
        }
        let (_, dialled) = last.as_ref()?;
        let error = dialled.as_ref().err()?;
        Some(format!("cannot dial {}: {error}", self.address))
    }

    /// Shakes hands with this very server, as an API server would, and looks at its certificate.
    async fn dial(&self) -> Result<(), String> {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let serving = self.certificates.serving();
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| error.to_string())?;
        let own = stream.local_addr().map_err(|error| error.to_string())?;
        self.own_dials.addresses().insert(own);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(ThisOne {
            leaf: serving.leaf.clone(),
            provider: Arc::clone(&provider),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let name = ServerName::IpAddress(address.ip().into());
        let shaken = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        match shaken {
            Ok(_) => Ok(()),
            // The certificate may have been replaced in between.
            Err(_) if !Arc::ptr_eq(&serving, &self.certificates.serving()) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Takes one certificate and no other. Who made it and what it is for is for its clients to judge.
#[derive(Debug)]
struct ThisOne {
    leaf: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ThisOne {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.leaf {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(
                "another certificate is served".to_owned(),
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
