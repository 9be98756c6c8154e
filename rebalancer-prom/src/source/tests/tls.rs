//! TLS.

use std::sync::Arc;
use std::time::Duration;

use rebalancer_core::ports::{MetricsSource as _, PortErrorKind};
use rstest::rstest;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{failure, settings};
use crate::error::PromError;
use crate::testing::{Reply, Server};
use crate::{PrometheusSettings, PrometheusSource};

/// Starts a TLS server for `names`. Returns its certificate, self-signed by `authority`.
async fn tls_server(authority: &str, names: &[&str]) -> (Server, tempfile::NamedTempFile) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    // Authorities of the same name would differ only in their signatures.
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, authority);
    let cert = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let server = Server::tls(TlsAcceptor::from(Arc::new(config)), Reply::vector("")).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), cert.pem()).unwrap();
    (server, file)
}

#[tokio::test]
async fn ca_file_is_trusted() {
    let (server, ca) = tls_server("ours", &["127.0.0.1"]).await;
    let source = PrometheusSource::new(PrometheusSettings {
        ca_file: Some(ca.path().into()),
        ..settings(&server.url)
    })
    .unwrap();
    assert!(source.loads().await.unwrap().samples.is_empty());
}

#[rstest]
#[case::unknown_authority(&["127.0.0.1"], false, "UnknownIssuer")]
#[case::other_name(&["prometheus.example.com"], true, "prometheus.example.com")]
#[tokio::test]
async fn certificate_error_names_the_problem(
    #[case] names: &[&str],
    #[case] trusted: bool,
    #[case] expected: &str,
) {
    let (server, ours) = tls_server("ours", names).await;
    // Another authority replaces the system's certificates, which a machine may not have.
    let (_, other) = tls_server("other", &["127.0.0.1"]).await;
    let ca = if trusted { &ours } else { &other };
    let error = failure(PrometheusSettings {
        ca_file: Some(ca.path().into()),
        ..settings(&server.url)
    })
    .await;
    assert!(matches!(error, PromError::Certificate { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Tls);
    let message = error.to_string();
    assert!(message.contains(expected), "{message}");
    assert!(message.contains("PROMETHEUS_CA_FILE"), "{message}");
}

#[tokio::test]
async fn tls_to_a_plain_http_port_is_a_failed_handshake() {
    let (_, ca) = tls_server("other", &["127.0.0.1"]).await;
    // A plain HTTP server replies to a handshake with an HTTP error.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            // Stays open for a while, so that the client reads the response and not a reset.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                drop(stream);
            });
        }
    });
    let error = failure(PrometheusSettings {
        ca_file: Some(ca.path().into()),
        ..settings(&url)
    })
    .await;
    assert!(matches!(error, PromError::TlsHandshake { .. }), "{error:?}");
    assert_eq!(error.kind(), PortErrorKind::Tls);
    assert!(error.to_string().contains("uses TLS"), "{error}");
}
