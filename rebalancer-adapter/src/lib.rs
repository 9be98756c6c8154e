//! Code that the adapters of the rebalancer share.
//!
//! An adapter talks to one kind of server (Prometheus, Kubernetes). The rules that are the same for
//! each of them are here:
//!
//! - [`Secrets`] removes credentials from the text of a server's response.
//! - [`excerpt`] shortens such a text to one line of an error message.
//! - [`causes`] and [`root_cause`] walk the chain of an error's sources.
//! - [`connect_timeout`], [`USER_AGENT`] and [`install_crypto_provider`] set up an HTTP client.
//! - [`Proxy`] selects the HTTP proxy of a server from the environment.
//! - [`read_setting_file`] and [`read_setting_text`] read a file that a setting names.
//! - [`tls_client_config`] sets up TLS with the files of the settings.
//! - [`read_json`] parses a response body.

mod client;
mod error_chain;
mod excerpt;
mod json;
mod proxy;
mod secrets;
mod setting_file;
mod tls;

pub use client::{USER_AGENT, connect_timeout, install_crypto_provider};
pub use error_chain::{causes, root_cause};
pub use excerpt::{EXCERPT_CHARS, excerpt, excerpt_up_to};
pub use json::read_json;
pub use proxy::{InvalidProxy, Proxy, tunnel_failure};
pub use secrets::Secrets;
pub use setting_file::{SettingFileError, read_setting_file, read_setting_text};
pub use tls::{
    ClientCertificate, TlsSettingNames, TlsSetupError, read_authorities, tls_client_config,
};
