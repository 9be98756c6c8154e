//! TLS.

use std::sync::Arc;
use std::time::Duration;

use rcgen::CertificateParams;
use rebalancer_core::ports::{MetricsSource as _, PortErrorKind};
use rstest::rstest;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ALL_VERSIONS, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::{failure, settings};
use crate::error::PromError;
use crate::testing::{Reply, Server};
use crate::{ClientCertificate, PrometheusSettings, PrometheusSource};

/// A certificate with its key, for `names`, self-signed by `authority`.
struct Identity {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Identity {
    fn new(authority: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        // Authorities of the same name would differ only in their signatures.
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, authority);
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, key }
    }

    /// As OpenSSL creates it by default: marked as the certificate of an authority.
    fn marked_as_authority(params: &mut CertificateParams) {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }

    fn file(&self) -> tempfile::NamedTempFile {
        file(&self.certificate.pem())
    }

    fn key_file(&self) -> tempfile::NamedTempFile {
        file(&self.key.serialize_pem())
    }

    /// Starts a server with this certificate, which requires a client certificate of one of the
    /// authorities, if there are any.
    async fn serve(
        &self,
        clients: &[&Self],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Server {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = if clients.is_empty() {
            builder.with_no_client_auth()
        } else {
            let mut roots = RootCertStore::empty();
            for client in clients {
                roots.add(client.certificate.der().clone()).unwrap();
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = builder
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        Server::tls(TlsAcceptor::from(Arc::new(config)), Reply::vector("")).await
    }
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

/// Starts a TLS server for `names`. Returns its certificate, self-signed by `authority`.
async fn tls_server(authority: &str, names: &[&str]) -> (Server, tempfile::NamedTempFile) {
    let identity = Identity::new(authority, names, |_| {});
    (identity.serve(&[], ALL_VERSIONS).await, identity.file())
}

fn trusting(server: &Server, ca: &tempfile::NamedTempFile) -> PrometheusSettings {
    PrometheusSettings {
        ca_file: Some(ca.path().into()),
        ..settings(&server.url)
    }
}

/// OpenSSL and curl accept a server's own certificate as trusted, whether it is marked as the
/// certificate of an authority or not.
#[rstest]
#[case::no_authority(|_: &mut CertificateParams| {})]
#[case::authority(Identity::marked_as_authority)]
#[tokio::test]
async fn certificate_of_the_server_itself_is_trusted(
    #[case] change: impl FnOnce(&mut CertificateParams),
    #[values(&TLS12, &TLS13)] version: &'static SupportedProtocolVersion,
) {
    let own = Identity::new("ours", &["127.0.0.1"], change);
    let server = own.serve(&[], &[version]).await;
    let source = PrometheusSource::new(trusting(&server, &own.file())).unwrap();
    assert!(source.loads().await.unwrap().samples.is_empty());
}

/// A certificate that an unknown authority has issued, and that is given itself.
#[tokio::test]
async fn issued_certificate_of_the_server_itself_is_trusted() {
    let authority = Identity::new("authority", &[], Identity::marked_as_authority);
    let issued = issued_by(&authority);
    let server = issued.serve(&[], ALL_VERSIONS).await;
    let source = PrometheusSource::new(trusting(&server, &issued.file())).unwrap();
    assert!(source.loads().await.unwrap().samples.is_empty());
}

fn issued_by(authority: &Identity) -> Identity {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "issued");
    let mut issuer = CertificateParams::new(Vec::new()).unwrap();
    issuer
        .distinguished_name
        .push(rcgen::DnType::CommonName, "authority");
    Identity::marked_as_authority(&mut issuer);
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::from_params(&issuer, &authority.key);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Identity { certificate, key }
}

#[rstest]
#[case::expired(&["127.0.0.1"], |params: &mut CertificateParams| {
    Identity::marked_as_authority(params);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
}, "expired")]
#[case::not_yet_valid(&["127.0.0.1"], |params: &mut CertificateParams| {
    Identity::marked_as_authority(params);
    params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    params.not_after = rcgen::date_time_ymd(2091, 1, 1);
}, "not valid yet")]
#[case::other_host(
    &["prometheus.example.com"],
    Identity::marked_as_authority,
    "prometheus.example.com"
)]
#[tokio::test]
async fn certificate_of_the_server_itself_is_still_checked(
    #[case] names: &[&str],
    #[case] change: impl FnOnce(&mut CertificateParams),
    #[case] expected: &str,
) {
    let own = Identity::new("ours", names, change);
    let server = own.serve(&[], ALL_VERSIONS).await;
    let error = failure(trusting(&server, &own.file())).await;
    assert!(matches!(error, PromError::Certificate { .. }), "{error:?}");
    assert!(error.to_string().contains(expected), "{error}");
    assert!(server.requests().is_empty());
}

/// The name and the mark are the same, but it is another certificate.
#[tokio::test]
async fn other_certificate_of_the_same_name_is_rejected() {
    let given = Identity::new("ours", &["127.0.0.1"], Identity::marked_as_authority);
    let other = Identity::new("ours", &["127.0.0.1"], Identity::marked_as_authority);
    let server = other.serve(&[], ALL_VERSIONS).await;
    let error = failure(trusting(&server, &given.file())).await;
    assert!(matches!(error, PromError::Certificate { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("CA:TRUE"), "{message}");
    assert!(
        message.contains("or the server's own if it is self-signed, with PROMETHEUS_CA_FILE"),
        "{message}"
    );
    assert!(server.requests().is_empty());
}

#[rstest]
#[tokio::test]
async fn client_certificate_is_presented(
    #[values(&TLS12, &TLS13)] version: &'static SupportedProtocolVersion,
) {
    let own = Identity::new("ours", &["127.0.0.1"], |_| {});
    let client = Identity::new("client", &["me"], |_| {});
    let server = own.serve(&[&client], &[version]).await;
    let (certificate, key) = (client.file(), client.key_file());
    let source = PrometheusSource::new(PrometheusSettings {
        client_certificate: Some(ClientCertificate {
            certificate_file: certificate.path().into(),
            key_file: key.path().into(),
        }),
        ..trusting(&server, &own.file())
    })
    .unwrap();
    assert!(source.loads().await.unwrap().samples.is_empty());
}

#[rstest]
#[case::none(
    false,
    "client certificate",
    "set PROMETHEUS_CLIENT_CERTIFICATE_FILE and"
)]
#[case::unknown(
    true,
    "does not accept the client certificate",
    "the server trusts its issuer"
)]
#[tokio::test]
async fn rejection_of_the_client_names_the_settings(
    #[case] configured: bool,
    #[case] problem: &str,
    #[case] remedy: &str,
    #[values(&TLS12, &TLS13)] version: &'static SupportedProtocolVersion,
) {
    let own = Identity::new("ours", &["127.0.0.1"], |_| {});
    let known = Identity::new("client", &["me"], |_| {});
    let unknown = Identity::new("stranger", &["me"], |_| {});
    let server = own.serve(&[&known], &[version]).await;
    let (certificate, key) = (unknown.file(), unknown.key_file());
    let error = failure(PrometheusSettings {
        client_certificate: configured.then(|| ClientCertificate {
            certificate_file: certificate.path().into(),
            key_file: key.path().into(),
        }),
        ..trusting(&server, &own.file())
    })
    .await;
    assert!(
        matches!(error, PromError::ClientCertificate { .. }),
        "{error:?}"
    );
    assert_eq!(error.kind(), PortErrorKind::Tls);
    let message = error.to_string();
    assert!(message.contains(problem), "{message}");
    assert!(message.contains(remedy), "{message}");
    assert!(server.requests().is_empty());
}

#[test]
fn client_certificate_needs_tls() {
    let client = Identity::new("client", &["me"], |_| {});
    let error = PrometheusSource::new(PrometheusSettings {
        client_certificate: Some(ClientCertificate {
            certificate_file: client.file().path().into(),
            key_file: client.key_file().path().into(),
        }),
        ..settings("http://prom:9090")
    })
    .unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Setup);
    assert!(error.to_string().contains("set an https:// URL"), "{error}");
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
