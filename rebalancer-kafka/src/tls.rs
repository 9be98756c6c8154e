//! TLS set-up with the settings of this crate.

use rebalancer_adapter::{TlsSettingNames, tls_client_config};
use rustls::ClientConfig;

use crate::error::KafkaError;
use crate::settings::{SecuritySetting, Tls};

/// The settings of the files.
const NAMES: TlsSettingNames = TlsSettingNames {
    ca_file: SecuritySetting::CaFile.name(),
    client_certificate_file: SecuritySetting::ClientCertificateFile.name(),
    client_key_file: SecuritySetting::ClientKeyFile.name(),
};

/// Returns the TLS set-up for connections to brokers.
pub(crate) fn client_config(tls: &Tls) -> Result<ClientConfig, KafkaError> {
    let ca_file = tls.ca_file.as_deref();
    let config = tls_client_config(NAMES, ca_file, tls.client_certificate.as_ref())?;
    Ok(config)
}
