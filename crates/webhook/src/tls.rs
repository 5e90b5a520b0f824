//! The certificate that is served, read anew when its files change.
//!
//! Files are compared by their content and never by their times or inodes: a Secret that the kubelet
//! mounts changes by the swap of a link to a folder, under names that stay the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use xxhash_rust::xxh3::Xxh3;

/// Where the certificate and what belongs to it stand, all in PEM.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The certificate of the server, and behind it those that lead to its CA.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// The CAs of which a client must have a certificate; without it, clients need none.
    pub client_ca: Option<PathBuf>,
}

/// What is served from one state of the files.
#[derive(Debug)]
pub struct Serving {
    /// What a connection is accepted with: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub config: Arc<ServerConfig>,
    /// When the first of the certificates that are served expires.
    pub expires: Timestamp,
    /// The certificate of the server itself.
    pub(crate) leaf: CertificateDer<'static>,
    /// Names the content of the files.
    digest: u128,
}

/// What came of looking at the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// They hold what is served.
    Unchanged,
    /// They held something else, which is served from now on.
    Replaced,
}

/// Why files cannot be served. Nothing of a key is repeated.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file does not hold what it should, or only a part of it.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key is not that of the certificate.
    #[error(
        "the key in {} is not that of the first certificate in {}: give both from one Secret",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

/// The certificate that is served. What cannot be served is refused, and the last good one stays.
#[derive(Debug)]
pub struct Certificates {
    files: CertificateFiles,
    serving: ArcSwap<Serving>,
}

impl Certificates {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// If they cannot be read or served.
    pub fn load(files: CertificateFiles) -> Result<Certificates, TlsError> {
        let serving = Content::read(&files)?.serving(&files)?;
        Ok(Certificates {
            files,
            serving: ArcSwap::from_pointee(serving),
        })
    }

    /// What is served now. A connection ends with what it began with.
    pub fn serving(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    /// Looks at the files, and serves what they hold from now on if that is something else.
    ///
    /// # Errors
    /// If they cannot be read or served, such as while one of them is written: what was served before
    /// still is, and the next look finds the rest.
    pub fn reload(&self) -> Result<Reload, TlsError> {
        let content = Content::read(&self.files)?;
        if content.digest() == self.serving.load().digest {
            return Ok(Reload::Unchanged);
        }
        self.serving.store(Arc::new(content.serving(&self.files)?));
        Ok(Reload::Replaced)
    }
}

/// What the files hold.
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Content {
    fn read(files: &CertificateFiles) -> Result<Content, TlsError> {
        let read = |path: &PathBuf| {
            fs::read(path).map_err(|source| TlsError::Read {
                path: path.clone(),
                source,
            })
        };
        Ok(Content {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_ca: files.client_ca.as_ref().map(read).transpose()?,
        })
    }

    fn digest(&self) -> u128 {
        let mut hasher = Xxh3::new();
        for part in [
            Some(&self.certificate),
            Some(&self.key),
            self.client_ca.as_ref(),
        ] {
            let part = part.map_or(&[][..], Vec::as_slice);
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.digest128()
    }

    fn serving(&self, files: &CertificateFiles) -> Result<Serving, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&self.certificate, &files.certificate)?;
        let expires = expires(&chain, &files.certificate)?;
        let leaf = chain[0].clone();
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| content(&files.key, "there is no whole private key in it"))?;
        let certified = certified(chain, key, &provider, files)?;

        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| content(&files.certificate, error.to_string()))?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(pem), Some(path)) => {
                let mut roots = RootCertStore::empty();
                for ca in certificates(pem, path)? {
                    roots
                        .add(ca)
                        .map_err(|error| content(path, error.to_string()))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| content(path, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Serving {
            config: Arc::new(config),
            expires,
            leaf,
            digest: self.digest(),
        })
    }
}

fn content(path: &Path, problem: impl Into<String>) -> TlsError {
    TlsError::Content {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

/// All certificates of a file. One that ends in its middle is an error, since the rest is on its way.
fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(read) if read.is_empty() => Err(content(path, "there is no certificate in it")),
        Ok(read) => Ok(read),
        Err(error) => Err(content(path, error.to_string())),
    }
}

/// When the first of a chain expires.
fn expires(chain: &[CertificateDer<'_>], path: &Path) -> Result<Timestamp, TlsError> {
    let mut first = Timestamp::MAX;
    for certificate in chain {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|error| content(path, format!("no X.509 certificate: {error}")))?;
        let end = parsed.validity().not_after.timestamp();
        let end = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
        first = first.min(end);
    }
    Ok(first)
}

/// The certificate with its key, which must be one pair.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
    files: &CertificateFiles,
) -> Result<CertifiedKey, TlsError> {
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
        },
        error => content(&files.key, error.to_string()),
    })
}
