//! TLS set-up of a client: trusted certificates, the client certificate, and the crypto provider.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, InconsistentKeys, RootCertStore,
    SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::client::install_crypto_provider;
use crate::setting_file::{SettingFileError, read_setting_file};

/// The files of a client certificate, in PEM. They are read when a client is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by those of its issuers.
    pub certificate_file: PathBuf,
    /// The private key, not encrypted.
    pub key_file: PathBuf,
}

/// The names of the settings that name the files of TLS, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsSettingNames {
    /// The setting of the trusted certificates.
    pub ca_file: &'static str,
    /// The setting of the client certificate.
    pub client_certificate_file: &'static str,
    /// The setting of the client certificate's private key.
    pub client_key_file: &'static str,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// A file of the settings cannot be read or used.
    #[error(transparent)]
    File(#[from] SettingFileError),
    /// The TLS library rejects the set-up, usually because the system has no CA certificates.
    #[error(transparent)]
    Library(Box<dyn StdError + Send + Sync>),
}

/// Returns the TLS set-up for a client of one server, without ALPN. The system's certificates are
/// trusted, and those of `ca_file` in addition.
///
/// # Errors
/// If a file cannot be read or used, or if the system has no certificates and there is no
/// `ca_file`.
pub fn tls_client_config(
    names: TlsSettingNames,
    ca_file: Option<&Path>,
    client: Option<&ClientCertificate>,
) -> Result<ClientConfig, TlsSetupError> {
    install_crypto_provider();
    let provider = CryptoProvider::get_default()
        .map_or_else(|| Arc::new(ring::default_provider()), Arc::clone);
    let given = match ca_file {
        Some(path) => read_authorities(names.ca_file, path)?,
        None => Vec::new(),
    };
    let verifier = ServerVerifier {
        inner: Verifier::new_with_extra_roots(given.clone(), Arc::clone(&provider))
            .map_err(library)?,
        given,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(library)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match client {
        None => Ok(builder.with_no_client_auth()),
        Some(files) => {
            let (chain, key) = read_client_certificate(names, files, &provider)?;
            builder.with_client_auth_cert(chain, key).map_err(library)
        }
    }
}

fn library(error: TlsError) -> TlsSetupError {
    TlsSetupError::Library(Box::new(error))
}

/// Verifies server certificates as usual, and also accepts a certificate of the CA file when the
/// server presents it as its own.
///
/// WebPKI rejects a self-signed certificate that is marked as an authority, which is what OpenSSL
/// creates by default. The certificate was given to be trusted, so an exact copy of it needs no
/// issuer. Its validity period, its host names and the signature of the handshake are checked as
/// for any other certificate.
#[derive(Debug)]
struct ServerVerifier {
    inner: Verifier,
    /// The certificates of the CA file.
    given: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerVerifier {
    /// Whether the certificate is one of the given ones, and is valid now.
    fn is_given_and_valid(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        if !self.given.contains(certificate) {
            return false;
        }
        let (Ok(parsed), Ok(anchor)) = (
            EndEntityCert::try_from(certificate),
            anchor_from_trusted_cert(certificate),
        ) else {
            return false;
        };
        let algorithms = self.provider.signature_verification_algorithms.all;
        let anchors = [anchor];
        let verified = parsed.verify_for_usage(
            algorithms,
            &anchors,
            &[],
            now,
            KeyUsage::server_auth(),
            None,
            None,
        );
        match verified {
            // WebPKI checks the validity period before it finds that the certificate is one of an
            // authority, or that its issuer is unknown. A test holds it to that.
            Ok(_) | Err(webpki::Error::CaUsedAsEndEntity | webpki::Error::UnknownIssuer) => true,
            Err(_) => false,
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        if verified.is_err() && self.is_given_and_valid(end_entity, now) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Reads and checks the certificates of a CA file. `setting` names the file in errors.
///
/// # Errors
/// If the file cannot be read, or contains no certificate or a bad one.
pub fn read_authorities(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let certificates = read_certificates(setting, path)?;
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        // The verifier does not report which certificate is bad.
        store.add(certificate.clone()).map_err(|error| {
            let number = index + 1;
            SettingFileError::unusable(setting, path, format!("certificate {number}: {error}"))
        })?;
    }
    Ok(certificates)
}

/// Reads the client certificate and its private key, and checks that they belong together.
fn read_client_certificate(
    names: TlsSettingNames,
    files: &ClientCertificate,
    provider: &CryptoProvider,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsSetupError> {
    let ClientCertificate {
        certificate_file,
        key_file,
    } = files;
    let chain = read_certificates(names.client_certificate_file, certificate_file)?;
    let bad_key = |reason: String| {
        TlsSetupError::from(SettingFileError::unusable(
            names.client_key_file,
            key_file,
            reason,
        ))
    };
    let pem = read_setting_file(names.client_key_file, key_file)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        bad_key(if !matches!(error, pem::Error::NoItemsFound) {
            error.to_string()
        } else if contains(&pem, b"ENCRYPTED PRIVATE KEY-----") {
            "the private key is encrypted; decrypt it, for example with `openssl pkey`".to_owned()
        } else {
            "it contains no PEM private key".to_owned()
        })
    })?;
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), provider) {
        Ok(_) => Ok((chain, key)),
        Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(bad_key(format!(
            "the private key does not belong to the first certificate of {}",
            certificate_file.display()
        ))),
        Err(TlsError::InvalidCertificate(problem)) => Err(SettingFileError::unusable(
            names.client_certificate_file,
            certificate_file,
            format!("certificate 1: {problem}"),
        )
        .into()),
        Err(error) => Err(bad_key(error.to_string())),
    }
}

/// Reads the certificates of a PEM file.
fn read_certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let pem = read_setting_file(setting, path)?;
    let mut certificates = Vec::new();
    for (index, der) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let number = index + 1;
        let der = der.map_err(|error| {
            SettingFileError::unusable(setting, path, format!("PEM block {number}: {error}"))
        })?;
        certificates.push(der);
    }
    if certificates.is_empty() {
        let reason = "it contains no PEM certificate";
        return Err(SettingFileError::unusable(setting, path, reason).into());
    }
    Ok(certificates)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NAMES: TlsSettingNames = TlsSettingNames {
        ca_file: "KAFKA_CA_FILE",
        client_certificate_file: "KAFKA_CLIENT_CERTIFICATE_FILE",
        client_key_file: "KAFKA_CLIENT_KEY_FILE",
    };

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
        assert_eq!(
            read_authorities("KAFKA_CA_FILE", file.path())
                .unwrap()
                .len(),
            2
        );
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
        let message = read_authorities("KAFKA_CA_FILE", file.path())
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("KAFKA_CA_FILE: "), "{message}");
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn error_for_a_missing_file_names_the_setting() {
        let message = read_authorities("KAFKA_CA_FILE", Path::new("/does/not/exist"))
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("KAFKA_CA_FILE: cannot read /does/not/exist: "),
            "{message}"
        );
    }

    /// Writes a file, and returns its path, which is valid as long as the directory.
    fn file(directory: &tempfile::TempDir, name: &str, content: &str) -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    #[rstest]
    #[case::good("CERTIFICATE", "KEY", Ok(()))]
    #[case::both_in_one_file("KEY CERTIFICATE", "CERTIFICATE KEY", Ok(()))]
    #[case::no_certificate("KEY", "KEY", Err(("CERTIFICATE_FILE", "it contains no PEM certificate")))]
    #[case::no_key("CERTIFICATE", "CERTIFICATE", Err(("KEY_FILE", "it contains no PEM private key")))]
    #[case::other_key("CERTIFICATE", "OTHER", Err(("KEY_FILE", "does not belong to the first certificate of")))]
    #[case::encrypted("CERTIFICATE", "ENCRYPTED", Err(("KEY_FILE", "the private key is encrypted")))]
    #[case::broken_key("CERTIFICATE", "BROKEN", Err(("KEY_FILE", "cannot be used: ")))]
    fn client_certificate_is_checked(
        #[case] certificate_file: &str,
        #[case] key_file: &str,
        #[case] expected: Result<(), (&str, &str)>,
    ) {
        let own = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
        let key = own.signing_key.serialize_pem();
        let content = |parts: &str| -> String {
            let part = |part| match part {
                "CERTIFICATE" => own.cert.pem(),
                "KEY" => key.clone(),
                "OTHER" => rcgen::KeyPair::generate().unwrap().serialize_pem(),
                "ENCRYPTED" => key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
                _ => "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n".into(),
            };
            parts.split(' ').map(part).collect()
        };
        let directory = tempfile::tempdir().unwrap();
        let files = ClientCertificate {
            certificate_file: file(&directory, "client.crt", &content(certificate_file)),
            key_file: file(&directory, "client.key", &content(key_file)),
        };
        let read = read_client_certificate(NAMES, &files, &ring::default_provider());
        match (read, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err((setting, problem))) => {
                let message = error.to_string();
                let setting = format!("KAFKA_CLIENT_{setting}: ");
                assert!(message.starts_with(&setting), "{message}");
                assert!(message.contains(problem), "{message}");
                assert!(!message.contains("aGVsbG8="), "{message}");
            }
            (read, expected) => panic!("{read:?} is not {expected:?}"),
        }
    }

    #[rstest]
    #[case("client.crt", "KAFKA_CLIENT_CERTIFICATE_FILE: cannot read ")]
    #[case("client.key", "KAFKA_CLIENT_KEY_FILE: cannot read ")]
    fn missing_file_of_a_client_certificate_is_named(
        #[case] missing: &str,
        #[case] expected: &str,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let files = ClientCertificate {
            certificate_file: file(&directory, "client.crt", &certificate()),
            key_file: file(&directory, "client.key", ""),
        };
        std::fs::remove_file(directory.path().join(missing)).unwrap();
        let error = read_client_certificate(NAMES, &files, &ring::default_provider()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
