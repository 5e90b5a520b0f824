//! What admission costs at least: the same libraries, a body that is decoded, and an answer that allows.
//! `scripts/bench-webhook` measures the webhook against it.
//!
//! `trivial ADDRESS CERTIFICATE KEY`

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark")]

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use stagegate_webhook::{CertificateFiles, Certificates};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

async fn allow(body: Bytes) -> Vec<u8> {
    let review: Value = serde_json::from_slice(&body).unwrap();
    let answer = json!({
        "apiVersion": review["apiVersion"],
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true},
    });
    serde_json::to_vec(&answer).unwrap()
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("trivial ADDRESS CERTIFICATE KEY");
    let listener = TcpListener::bind(next()).await.unwrap();
    let files = CertificateFiles {
        certificate: next().into(),
        key: next().into(),
        client_ca: None,
    };
    let serving = Certificates::load(files).unwrap().serving();
    let acceptor = TlsAcceptor::from(Arc::clone(&serving.config));
    let router = Router::new()
        .route("/validate", post(allow))
        .layer(DefaultBodyLimit::max(8 << 20));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
            if is_http2 {
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = http2.serve_connection(io, service).await;
            } else {
                let http1 = hyper::server::conn::http1::Builder::new();
                let _ = http1.serve_connection(io, service).await;
            }
        });
    }
}
