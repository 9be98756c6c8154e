//! TLS set-up with the settings of this crate.

use std::path::Path;

use rebalancer_adapter::{ClientCertificate, TlsSettingNames, TlsSetupError, tls_client_config};
use rustls::ClientConfig;

/// The settings of the files for the server that is queried.
pub(crate) const QUERY_NAMES: TlsSettingNames = TlsSettingNames {
    ca_file: "PROMETHEUS_CA_FILE",
    client_certificate_file: "PROMETHEUS_CLIENT_CERTIFICATE_FILE",
    client_key_file: "PROMETHEUS_CLIENT_KEY_FILE",
};

/// Returns the TLS set-up for a client of one server.
pub(crate) fn client_config(
    names: TlsSettingNames,
    ca_file: Option<&Path>,
    client: Option<&ClientCertificate>,
) -> Result<ClientConfig, TlsSetupError> {
    let mut config = tls_client_config(names, ca_file, client)?;
    // HTTP/2 has no advantage for a few requests.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
