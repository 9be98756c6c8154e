//! The certificates of the harness's own TLS servers.

use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{Error, Result};

/// A server certificate for 127.0.0.1 that no authority signed.
pub(crate) struct SelfSigned {
    /// Accepts connections of HTTP/1.1 clients.
    pub(crate) acceptor: TlsAcceptor,
    /// The certificate in PEM, for clients that verify it.
    pub(crate) certificate: String,
}

impl SelfSigned {
    /// Issues a certificate. `server` is its owner, for errors.
    pub(crate) fn issue(server: &str) -> Result<Self> {
        // Another test may have installed the provider already, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])
            .map_err(Error::document(format!("the certificate of {server}")))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .map_err(Error::document(format!(
                "the TLS configuration of {server}"
            )))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: own.cert.pem(),
        })
    }
}
