//! Makes a CA and a certificate for this machine, to try the webhook with: `certificates FOLDER`.
//!
//! Called again, it replaces the certificate, by the same CA, as a mounted Secret is replaced: a link to
//! a folder moves, and nothing is ever half written.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a helper of scripts"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("certificates FOLDER"));
    fs::create_dir_all(&folder).unwrap();
    // Programs find the CA of a certificate by its name, which must not be that of the certificate.
    let mut params = CertificateParams::default();
    params.distinguished_name = named("the CA of an example");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (key_path, ca_path) = (folder.join("ca.key"), folder.join("ca.crt"));
    if !key_path.exists() {
        let key = KeyPair::generate().unwrap();
        fs::write(&ca_path, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&key_path, key.serialize_pem()).unwrap();
    }
    let key = KeyPair::from_pem(&fs::read_to_string(&key_path).unwrap()).unwrap();
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name = named("localhost");
    let certificate = params.signed_by(&own, &issuer).unwrap();

    let generation = fs::read_dir(&folder).unwrap().count();
    let data = format!("..{generation}-{}", std::process::id());
    fs::create_dir(folder.join(&data)).unwrap();
    fs::write(folder.join(&data).join("tls.crt"), certificate.pem()).unwrap();
    fs::write(folder.join(&data).join("tls.key"), own.serialize_pem()).unwrap();
    let before = fs::read_link(folder.join("..data"));
    symlink(&data, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        if fs::symlink_metadata(folder.join(name)).is_err() {
            symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        }
    }
    if let Ok(before) = before {
        fs::remove_dir_all(folder.join(before)).unwrap();
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}
