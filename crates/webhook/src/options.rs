//! How the server serves.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::SignedDuration;

use crate::CertificateFiles;

/// A duration as Go writes it: `10s`, `1m30s`, `500ms`.
pub fn duration(text: &str) -> Option<Duration> {
    let parsed: SignedDuration = text.parse().ok()?;
    Duration::try_from(parsed).ok()
}

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the API server asks, by TLS.
    pub bind: SocketAddr,
    /// Where health and metrics are told, in the clear.
    pub admin_bind: SocketAddr,
    /// The certificate.
    pub tls: CertificateFiles,
    /// How much time a request is given at most. The API server's own `?timeout=` counts if it is
    /// shorter.
    pub timeout: Duration,
    /// How many requests are judged at once.
    pub workers: NonZeroUsize,
    /// How often files are looked at for changes.
    pub poll: Duration,
    /// For how long everything is served as before once a signal asks for the end: until then nobody
    /// may know that the replica is not ready any more.
    pub shutdown_delay: Duration,
    /// What connections may take.
    pub connections: ConnectionLimits,
    /// What bodies may take.
    pub bodies: BodyLimits,
}

impl Options {
    /// What serves well behind one API server or several.
    pub fn new(bind: SocketAddr, admin_bind: SocketAddr, tls: CertificateFiles) -> Options {
        let cores = std::thread::available_parallelism();
        Options {
            bind,
            admin_bind,
            tls,
            timeout: Duration::from_secs(10),
            workers: cores.unwrap_or(NonZeroUsize::MIN),
            poll: Duration::from_secs(5),
            shutdown_delay: Duration::from_secs(10),
            connections: ConnectionLimits::default(),
            bodies: BodyLimits::default(),
        }
    }
}

/// What connections may take.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// How many there may be at once; more wait until one ends.
    pub most: usize,
    /// How long the TLS handshake may take.
    pub handshake: Duration,
    /// How long the head of a request may take, from its first byte; a new connection's from the
    /// beginning.
    pub head: Duration,
    /// How long a connection may be idle.
    pub idle: Duration,
    /// After how long a connection is not used for another request. An API server keeps one for ever,
    /// and would never find a replica that is new.
    pub max_age: Duration,
    /// After how many requests it is not used for another one.
    pub max_requests: u64,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits {
            most: 4096,
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(5),
            idle: Duration::from_secs(90),
            max_age: Duration::from_secs(300),
            max_requests: 10_000,
        }
    }
}

/// What bodies may take.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Bytes of one body. An update brings an object twice, each with up to 3 MiB.
    pub most: usize,
    /// How long reading one may take.
    pub time: Duration,
    /// Bytes of all bodies that are read or judged at once.
    pub in_flight: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        BodyLimits {
            most: 8 << 20,
            time: Duration::from_secs(5),
            in_flight: 64 << 20,
        }
    }
}
