//! Set-up that is the same for every HTTP client.

use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};

/// The `User-Agent` of every request, by which servers and audit logs identify the program.
pub const USER_AGENT: &str = concat!("rebalancer/", env!("CARGO_PKG_VERSION"));

/// The upper bound of the connect timeout.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// Returns the connect timeout for requests that may take `request_timeout` in total.
///
/// The connect timeout is at most half of the request timeout, so that a failed connection is
/// reported as such and not as a missing response.
#[must_use]
pub fn connect_timeout(request_timeout: Duration) -> Duration {
    (request_timeout / 2).min(LONGEST_CONNECT)
}

/// Installs `ring` as the crypto provider of the process, unless a provider is already installed.
///
/// rustls needs one default provider per process.
pub fn install_crypto_provider() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread installed a provider first.
        let _ = ring::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(2, 1)]
    #[case(30, 10)]
    #[case(0, 0)]
    fn connect_timeout_is_half_of_the_request_timeout_up_to_ten_seconds(
        #[case] request: u64,
        #[case] connect: u64,
    ) {
        let connect = Duration::from_secs(connect);
        assert_eq!(connect_timeout(Duration::from_secs(request)), connect);
    }

    #[test]
    fn crypto_provider_is_installed_once() {
        install_crypto_provider();
        install_crypto_provider();
        assert!(CryptoProvider::get_default().is_some());
    }
}
