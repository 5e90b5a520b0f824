//! The online door: what serves admission requests.

mod tls;

pub use tls::{CertificateFiles, Certificates, Reload, Serving, TlsError};
