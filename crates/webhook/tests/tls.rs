//! Which certificate is served, from first to last.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use common::{Issuer, ca as root, trusting};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ED25519, SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use stagegate_webhook::{CertificateFiles, Certificates, Reload, TlsError};

const NAME: &str = "stagegate.stagegate.svc";
const RSA_KEY: &str = include_str!("../../../testdata/tls/rsa.key");

fn intermediate(root: &Issuer) -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), root).unwrap()
}

/// A certificate for the name and its key, in PEM.
fn pair(issuer: &Issuer, key: &KeyPair) -> (String, String) {
    let params = CertificateParams::new([NAME.to_owned()]).unwrap();
    let certificate = params.signed_by(key, issuer).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn new_pair(issuer: &Issuer) -> (String, String) {
    pair(issuer, &KeyPair::generate().unwrap())
}

fn der(pem: &str) -> Vec<CertificateDer<'static>> {
    let chain: Result<_, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    chain.unwrap()
}

fn files(folder: &Path) -> CertificateFiles {
    CertificateFiles {
        certificate: folder.join("tls.crt"),
        key: folder.join("tls.key"),
        client_ca: None,
    }
}

fn write(folder: &Path, (certificate, key): &(String, String)) {
    fs::write(folder.join("tls.crt"), certificate).unwrap();
    fs::write(folder.join("tls.key"), key).unwrap();
}

/// Mounts a Secret as the kubelet does, or what a mounted one was changed to: a folder of its own, to
/// which the link `..data` is moved at once.
#[cfg(unix)]
fn project(folder: &Path, generation: usize, pair: &(String, String)) {
    use std::os::unix::fs::symlink;
    let own = format!("..2026_11_21_{generation}");
    fs::create_dir(folder.join(&own)).unwrap();
    write(&folder.join(&own), pair);
    symlink(&own, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        if !folder.join(name).exists() {
            symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        }
    }
    let before = folder.join(format!("..2026_11_21_{}", generation.wrapping_sub(1)));
    if before.exists() {
        fs::remove_dir_all(before).unwrap();
    }
}

/// Shakes hands without a network. Gives the chain that the client was shown.
fn handshake(
    server: &Arc<ServerConfig>,
    client: ClientConfig,
) -> Result<Vec<CertificateDer<'static>>, rustls::Error> {
    let name = ServerName::try_from(NAME).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut bytes = Vec::new();
    for _ in 0..10 {
        bytes.clear();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    // The handshake is worth what can be said after it.
    client.writer().write_all(b"hello").unwrap();
    bytes.clear();
    client.write_tls(&mut bytes).unwrap();
    server.read_tls(&mut bytes.as_slice()).unwrap();
    server.process_new_packets()?;
    let mut heard = [0; 5];
    server.reader().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    Ok(client.peer_certificates().unwrap().to_vec())
}

fn shown(certificates: &Certificates, root: &Issuer) -> Vec<CertificateDer<'static>> {
    let client = trusting(root).with_no_client_auth();
    handshake(&certificates.serving().config, client).unwrap()
}

#[cfg(unix)]
#[test]
fn a_mounted_secret_may_change_again_and_again() {
    let (folder, root) = (tempfile::tempdir().unwrap(), root());
    let first = new_pair(&root);
    project(folder.path(), 0, &first);
    let certificates = Certificates::load(files(folder.path())).unwrap();
    assert_eq!(shown(&certificates, &root), der(&first.0));
    for generation in 1..=3 {
        assert_eq!(certificates.reload().unwrap(), Reload::Unchanged);
        let next = new_pair(&root);
        project(folder.path(), generation, &next);
        assert_eq!(certificates.reload().unwrap(), Reload::Replaced);
        assert_eq!(shown(&certificates, &root), der(&next.0));
    }
}

#[test]
fn what_cannot_be_served_leaves_the_last_good_one() {
    let (folder, root) = (tempfile::tempdir().unwrap(), root());
    let (good, next) = (new_pair(&root), new_pair(&root));
    write(folder.path(), &good);
    let certificates = Certificates::load(files(folder.path())).unwrap();
    let half = |text: &str| text[..text.len() / 2].to_owned();
    for (what, pair) in [
        ("a torn certificate", (half(&next.0), next.1.clone())),
        ("a torn key", (next.0.clone(), half(&next.1))),
        ("nothing", (String::new(), String::new())),
        ("one before the other", (next.0.clone(), good.1.clone())),
        ("the other before the one", (good.0.clone(), next.1.clone())),
        (
            "a chain that ends in its middle",
            (next.0.clone() + &half(&root.pem()), next.1.clone()),
        ),
        ("no text", ("\u{0}\u{1}".to_owned(), next.1.clone())),
    ] {
        write(folder.path(), &pair);
        let error = certificates.reload().expect_err(what);
        let is_mismatch = matches!(error, TlsError::Mismatch { .. });
        assert_eq!(is_mismatch, what.contains("other"), "{what}: {error}");
        let said = format!("{error} {error:?}");
        assert!(
            !next
                .1
                .lines()
                .any(|line| line.len() > 20 && said.contains(line))
        );
        assert_eq!(shown(&certificates, &root), der(&good.0), "{what}");
    }
    fs::remove_file(folder.path().join("tls.key")).unwrap();
    assert!(matches!(certificates.reload(), Err(TlsError::Read { .. })));
    write(folder.path(), &next);
    assert_eq!(certificates.reload().unwrap(), Reload::Replaced);
    assert_eq!(shown(&certificates, &root), der(&next.0));
}

#[test]
fn chains_are_served_whole_and_with_every_kind_of_key() {
    let (folder, root) = (tempfile::tempdir().unwrap(), root());
    let between = intermediate(&root);
    let generate =
        |algorithm: &'static SignatureAlgorithm| KeyPair::generate_for(algorithm).unwrap();
    let keys = [
        generate(&PKCS_ECDSA_P256_SHA256),
        generate(&PKCS_ED25519),
        KeyPair::from_pem(RSA_KEY).unwrap(),
    ];
    for key in keys {
        let (leaf, key) = pair(&between, &key);
        write(folder.path(), &(leaf + &between.pem(), key));
        let certificates = Certificates::load(files(folder.path())).unwrap();
        let served = fs::read_to_string(folder.path().join("tls.crt")).unwrap();
        assert_eq!(der(&served).len(), 2);
        assert_eq!(shown(&certificates, &root), der(&served));
    }
}

#[test]
fn what_expires_first_is_told() {
    let (folder, root) = (tempfile::tempdir().unwrap(), root());
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    params.not_after = date_time_ymd(2030, 2, 3);
    let leaf = params.signed_by(&key, &root).unwrap();
    write(
        folder.path(),
        &(leaf.pem() + &root.pem(), key.serialize_pem()),
    );
    let certificates = Certificates::load(files(folder.path())).unwrap();
    let expires = certificates.serving().expires;
    assert_eq!(expires.to_string(), "2030-02-03T00:00:00Z");
}

#[test]
fn clients_need_a_certificate_of_the_configured_ca_which_may_change() {
    let (folder, root) = (tempfile::tempdir().unwrap(), root());
    let (old_ca, new_ca) = (common::ca(), common::ca());
    write(folder.path(), &new_pair(&root));
    let ca = folder.path().join("ca.crt");
    fs::write(&ca, old_ca.pem()).unwrap();
    let files = CertificateFiles {
        client_ca: Some(ca.clone()),
        ..files(folder.path())
    };
    let certificates = Certificates::load(files).unwrap();
    let is_served = |issuer: Option<&Issuer>| {
        let client = match issuer {
            None => trusting(&root).with_no_client_auth(),
            Some(issuer) => {
                let (certificate, key) = new_pair(issuer);
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                let client = trusting(&root).with_client_auth_cert(der(&certificate), key);
                client.unwrap()
            }
        };
        handshake(&certificates.serving().config, client).is_ok()
    };
    let served = || {
        [
            is_served(None),
            is_served(Some(&old_ca)),
            is_served(Some(&new_ca)),
        ]
    };
    assert_eq!(served(), [false, true, false]);
    // While CAs change, both hold.
    fs::write(&ca, old_ca.pem() + &new_ca.pem()).unwrap();
    assert_eq!(certificates.reload().unwrap(), Reload::Replaced);
    assert_eq!(served(), [false, true, true]);
    fs::write(&ca, new_ca.pem()).unwrap();
    assert_eq!(certificates.reload().unwrap(), Reload::Replaced);
    assert_eq!(served(), [false, false, true]);
    fs::write(&ca, "").unwrap();
    assert!(certificates.reload().is_err());
    assert_eq!(served(), [false, false, true]);
}
