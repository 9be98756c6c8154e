//! TLS set-up: trusted certificates and the crypto provider.

use std::path::Path;

use rebalancer_adapter::install_crypto_provider;
use reqwest::{Certificate, ClientBuilder};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::PromError;

const CA_FILE: &str = "PROMETHEUS_CA_FILE";

/// Sets up TLS for a client of one server.
pub(crate) fn configure(
    builder: ClientBuilder,
    https: bool,
    ca_file: Option<&Path>,
) -> Result<ClientBuilder, PromError> {
    install_crypto_provider();
    let extra = ca_file.map(read_certificates).transpose()?;
    Ok(match (https, extra) {
        // Plain HTTP does not load the system's certificates: loading them takes more time and
        // memory than all queries, and fails in an image without certificates.
        (false, _) => builder.tls_certs_only([]),
        (true, None) => builder,
        (true, Some(extra)) => builder.tls_certs_merge(extra),
    })
}

/// Reads and checks the certificates of a PEM file.
fn read_certificates(path: &Path) -> Result<Vec<Certificate>, PromError> {
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
        // The HTTP client does not report which certificate is bad.
        store
            .add(der.clone())
            .map_err(|error| bad(format!("certificate {number}: {error}")))?;
        certificates.push(
            Certificate::from_der(&der)
                .map_err(|error| bad(format!("certificate {number}: {error}")))?,
        );
    }
    if certificates.is_empty() {
        return Err(bad("it contains no PEM certificate".into()));
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
    fn reads_several_certificates() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            format!("# ours\n{}\n{}", certificate(), certificate()),
        )
        .unwrap();
        assert_eq!(read_certificates(file.path()).unwrap().len(), 2);
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
    fn file_without_valid_certificates_is_an_error(#[case] content: &str, #[case] expected: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let message = read_certificates(file.path()).unwrap_err().to_string();
        assert!(message.starts_with("PROMETHEUS_CA_FILE: "), "{message}");
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn error_for_a_missing_file_names_the_setting() {
        let message = read_certificates(Path::new("/does/not/exist"))
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("PROMETHEUS_CA_FILE: cannot read /does/not/exist: "),
            "{message}"
        );
    }
}
