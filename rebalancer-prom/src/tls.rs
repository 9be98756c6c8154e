//! TLS set-up with the settings of this crate.

use std::path::Path;

use rebalancer_adapter::{ClientCertificate, TlsSettingNames, tls_client_config};
use rustls::ClientConfig;

use crate::error::PromError;

/// The settings of the files.
const NAMES: TlsSettingNames = TlsSettingNames {
    ca_file: "PROMETHEUS_CA_FILE",
    client_certificate_file: "PROMETHEUS_CLIENT_CERTIFICATE_FILE",
    client_key_file: "PROMETHEUS_CLIENT_KEY_FILE",
};

/// Returns the TLS set-up for a client of one server.
pub(crate) fn client_config(
    ca_file: Option<&Path>,
    client: Option<&ClientCertificate>,
) -> Result<ClientConfig, PromError> {
    let mut config = tls_client_config(NAMES, ca_file, client)?;
    // HTTP/2 has no advantage for a few requests.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Checks the certificates of `PROMETHEUS_CA_FILE`.
pub(crate) fn check_authorities(path: &Path) -> Result<(), PromError> {
    rebalancer_adapter::read_authorities(NAMES.ca_file, path)?;
    Ok(())
}
