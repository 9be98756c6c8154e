//! Classification of the HTTP client's errors, which are nested boxes.

use std::error::Error as StdError;
use std::io;

use kube::client::AuthError;
use rebalancer_adapter::{causes, tunnel_failure};

/// The facts that the chain of sources of an error contains.
#[derive(Default)]
pub(crate) struct ErrorChain {
    /// The request was not sent.
    pub(crate) never_sent: bool,
    /// The TLS handshake or a certificate check failed.
    pub(crate) tls: bool,
    /// A deadline passed.
    pub(crate) timeout: bool,
    /// Why there are no credentials, if that is the failure.
    pub(crate) credentials: Option<String>,
    /// The message of the root cause.
    pub(crate) root_cause: String,
}

impl ErrorChain {
    pub(crate) fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut chain = Self::default();
        for error in causes(error) {
            if let Some(client) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
                chain.never_sent |= client.is_connect();
            }
            if error.is::<rustls::Error>() {
                chain.tls = true;
            }
            if let Some(auth) = error.downcast_ref::<AuthError>() {
                chain.never_sent = true;
                chain.credentials = Some(auth_detail(auth));
            }
            if let Some(io) = error.downcast_ref::<io::Error>() {
                chain.timeout |= io.kind() == io::ErrorKind::TimedOut;
            }
            let text = error.to_string();
            chain.root_cause = tunnel_failure(&text).map_or(text, str::to_owned);
        }
        chain
    }
}

/// The reason why credentials are not available.
///
/// The client's own message would contain the input and the output of the credential plugin,
/// including tokens.
pub(crate) fn auth_detail(error: &AuthError) -> String {
    if let AuthError::AuthExecRun { out, .. } = error {
        let complaint = String::from_utf8_lossy(&out.stderr);
        let complaint = complaint.lines().next().unwrap_or_default();
        return format!(
            "the credential plugin of the kubeconfig failed ({}): {complaint}",
            out.status
        );
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Source;

    fn chain(error: impl Into<Source>) -> ErrorChain {
        ErrorChain::of(error.into().as_ref())
    }

    #[test]
    fn finds_a_tls_error_inside_an_io_error() {
        let chain = chain(io::Error::new(
            io::ErrorKind::InvalidData,
            rustls::Error::General("no trust".into()),
        ));
        assert!(chain.tls);
        assert!(
            chain.root_cause.contains("no trust"),
            "{}",
            chain.root_cause
        );
    }

    #[test]
    fn finds_a_timeout() {
        let timeout = io::Error::new(io::ErrorKind::TimedOut, "deadline has elapsed");
        assert!(chain(timeout).timeout);
        assert!(!chain(io::Error::other("reset")).timeout);
    }

    #[test]
    fn hides_the_output_of_a_credential_plugin() {
        use std::os::unix::process::ExitStatusExt as _;
        let error = AuthError::AuthExecRun {
            cmd: "TOKEN=s3cret get-token".into(),
            out: Box::new(std::process::Output {
                status: std::process::ExitStatus::from_raw(256),
                stdout: b"s3cret".to_vec(),
                stderr: b"not logged in\nmore".to_vec(),
            }),
        };
        let detail = chain(error).credentials.unwrap();
        assert!(detail.ends_with("not logged in"), "{detail}");
        assert!(!detail.contains("s3cret"));
    }
}
