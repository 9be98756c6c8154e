//! Which certificates are trusted, and the one crypto back end.

use std::path::Path;

use rebalancer_adapter::install_crypto_provider;
use reqwest::{Certificate, ClientBuilder};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::PromError;

const CA_FILE: &str = "PROMETHEUS_CA_FILE";

/// Sets up TLS for a client that will only ever talk to one server.
pub(crate) fn configure(
    builder: ClientBuilder,
    https: bool,
    ca_file: Option<&Path>,
) -> Result<ClientBuilder, PromError> {
    install_crypto_provider();
    let extra = ca_file.map(read).transpose()?;
    Ok(match (https, extra) {
        // Reading the system's certificates takes more time and memory than all queries, and
        // fails in an image without any: plain HTTP does without.
        (false, _) => builder.tls_certs_only([]),
        (true, None) => builder,
        (true, Some(extra)) => builder.tls_certs_merge(extra),
    })
}

/// The certificates of a PEM file, each checked to be one.
fn read(path: &Path) -> Result<Vec<Certificate>, PromError> {
    let bad = |reason: String| PromError::BadFile {
        setting: CA_FILE,
        path: path.to_owned(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|source| PromError::UnreadableFile {
        setting: CA_FILE,
        path: path.to_owned(),
        source,
    })?;
    let mut store = RootCertStore::empty();
    let mut certificates = Vec::new();
    for (index, der) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let number = index + 1;
        let der = der.map_err(|error| bad(format!("PEM block {number}: {error}")))?;
        // The HTTP client would report a bad certificate without saying which.
        store
            .add(der.clone())
            .map_err(|error| bad(format!("certificate {number}: {error}")))?;
        certificates.push(
            Certificate::from_der(&der)
                .map_err(|error| bad(format!("certificate {number}: {error}")))?,
        );
    }
    if certificates.is_empty() {
        return Err(bad("there is no PEM certificate in it".into()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn certificate() -> String {
        rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .unwrap()
            .cert
            .pem()
    }

    #[test]
    fn several_certificates_are_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            format!("# ours\n{}\n{}", certificate(), certificate()),
        )
        .unwrap();
        assert_eq!(read(file.path()).unwrap().len(), 2);
    }

    #[rstest]
    #[case("", "no PEM certificate")]
    #[case("hello", "no PEM certificate")]
    #[case(
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        "PEM block 1"
    )]
    #[case(
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
        "certificate 1"
    )]
    fn a_file_without_certificates_is_refused(#[case] content: &str, #[case] expected: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let message = read(file.path()).unwrap_err().to_string();
        assert!(message.starts_with("PROMETHEUS_CA_FILE: "), "{message}");
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = read(Path::new("/does/not/exist")).unwrap_err().to_string();
        assert!(
            message.starts_with("PROMETHEUS_CA_FILE: cannot read /does/not/exist: "),
            "{message}"
        );
    }
}
