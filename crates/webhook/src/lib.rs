//! The online door: what serves admission requests.
//!
//! ```text
//!  API server ─TLS─> connection ─> validate ─> pool ─> admission ─> Engine::review
//!  kubelet, Prometheus ─> connection ─> health, metrics
//! ```
//!
//! What a request means is for `admission`; here is what keeps a server alive that every write of a
//! cluster waits for: time that is bounded, memory that is bounded, files that change, and an end that
//! loses nothing.

mod connection;
mod feed;
mod health;
mod metrics;
mod options;
mod policies;
mod pool;
mod server;
mod tls;
mod validate;

pub use feed::{Feed, FeedLimits, Trouble};
pub use options::{BodyLimits, ConnectionLimits, Options, duration};
pub use policies::{PolicySet, PolicySource};
pub use server::{Ended, ServeError, Server, Stop, serve};
pub use tls::{CertificateFiles, Certificates, Reload, Serving, TlsError};
