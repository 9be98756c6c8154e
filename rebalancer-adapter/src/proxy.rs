//! The proxy of the requests to one server: from the environment, or from a setting of its own.

use std::fmt;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use crate::secrets::Secrets;

/// An HTTP proxy.
///
/// `Debug` and `Display` show neither the user name nor the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The URL, without user name and password.
    url: Uri,
    authorization: Option<HeaderValue>,
    setting: String,
}

/// A proxy that cannot be used. The message does not quote the URL, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: the proxy cannot be used: {reason}")]
pub struct InvalidProxy {
    /// The environment variable or the setting with the proxy.
    pub setting: String,
    /// The problem of the proxy, and the remedy.
    pub reason: String,
}

impl Proxy {
    /// Returns the proxy of the environment for requests to a server, if they go through one.
    ///
    /// `HTTPS_PROXY` applies to `https`, `HTTP_PROXY` to `http`, and `ALL_PROXY` to both.
    /// `NO_PROXY` lists servers without a proxy: host names with their subdomains, IP addresses,
    /// CIDR ranges and `*`, each optionally with a port. Lower-case names apply too. The loopback
    /// interface has no proxy, which could not reach it.
    ///
    /// # Errors
    /// If the proxy's URL is not valid, or is not of an HTTP proxy.
    pub fn from_environment(server: &Uri) -> Result<Option<Self>, InvalidProxy> {
        Self::from_variables(server, |name| std::env::var(name).ok())
    }

    /// Returns the proxy for a server, with a function that returns environment variables.
    fn from_variables(
        server: &Uri,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, InvalidProxy> {
        if is_loopback(server) {
            return Ok(None);
        }
        let first = |names: &[&'static str]| {
            names.iter().find_map(|&name| {
                let value = variable(name)?.trim().to_owned();
                (!value.is_empty()).then_some((name, value))
            })
        };
        let names: &[&'static str] = match server.scheme_str() {
            Some("https") => &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
            // A CGI program finds a header of its request in HTTP_PROXY.
            _ if variable("REQUEST_METHOD").is_some() => &["http_proxy", "ALL_PROXY", "all_proxy"],
            _ => &["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
        };
        let Some((setting, url)) = first(names) else {
            return Ok(None);
        };
        if let Some((_, list)) = first(&["NO_PROXY", "no_proxy"])
            && is_excluded(server, &list)
        {
            return Ok(None);
        }
        Self::parse(setting, &url).map(Some)
    }

    /// Parses the URL of a proxy. A URL without a scheme is of an HTTP proxy.
    ///
    /// # Errors
    /// If the URL is not valid, or is not of an HTTP proxy.
    pub fn parse(setting: impl Into<String>, url: &str) -> Result<Self, InvalidProxy> {
        let setting = setting.into();
        let invalid = |reason: String| InvalidProxy {
            setting: setting.clone(),
            reason,
        };
        let example = "set a URL such as http://proxy.example.com:3128";
        let url = url.trim();
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = scheme.to_ascii_lowercase();
        if scheme.starts_with("socks") {
            return Err(invalid(format!(
                "SOCKS proxies are not supported; {example}"
            )));
        }
        if !matches!(scheme.as_str(), "http" | "https") {
            return Err(invalid(format!(
                "its URL must begin with http:// or https://; {example}"
            )));
        }
        // The library's matcher parses credentials, and removes them from the URL.
        let intercept = Matcher::builder()
            .all(format!("{scheme}://{rest}"))
            .build()
            .intercept(&Uri::from_static("https://server.invalid"))
            .filter(|intercept| is_plain(intercept.uri(), rest))
            .ok_or_else(|| {
                invalid(format!(
                    "its URL is not valid (special characters in a password are written as %40 for \
                     `@`, %3A for `:` and so on); {example}"
                ))
            })?;
        Ok(Self {
            url: intercept.uri().clone(),
            authorization: intercept.basic_auth().cloned(),
            setting,
        })
    }

    /// Returns the URL, without user name and password.
    #[must_use]
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// Returns the value of the header `Proxy-Authorization`, marked as sensitive.
    #[must_use]
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Adds the user name and the password to the secrets of a request.
    pub fn add_secrets(&self, secrets: &mut Secrets) {
        if let Some(value) = &self.authorization {
            secrets.add_header(value.as_bytes());
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.to_string();
        write!(f, "{} ({})", url.trim_end_matches('/'), self.setting)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Whether the URL of a proxy consists of a host and a port. Otherwise, a part of a password with
/// special characters was taken for one of them.
fn is_plain(url: &Uri, text: &str) -> bool {
    let authority = url.authority().map_or("", http::uri::Authority::as_str);
    let host = url.host().unwrap_or_default();
    let port = authority.strip_prefix(host).unwrap_or("@");
    let after_host = text.strip_suffix('/').unwrap_or(text);
    !host.is_empty()
        && (port.is_empty() || url.port_u16().is_some())
        && !authority.contains('@')
        && !after_host.contains(['/', '?', '#'])
}

/// Whether the host of a URL is the machine itself.
fn is_loopback(url: &Uri) -> bool {
    url.host().is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost")
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    })
}

/// Whether a list in the form of `NO_PROXY` contains the server.
fn is_excluded(server: &Uri, list: &str) -> bool {
    let port = server.port_u16().or(match server.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    });
    // The library's matcher does not know ports and `*.`. There is one server, so an entry with
    // another port is left out.
    let hosts: Vec<&str> = list
        .split([',', ' ', '\t'])
        .filter_map(|entry| match split_port(entry) {
            (host, Some(of_entry)) => (port == Some(of_entry)).then_some(host),
            (host, None) => Some(host),
        })
        .map(|host| match host.strip_prefix('*') {
            Some(suffix) if suffix.starts_with('.') => suffix,
            _ => host.trim_matches(['[', ']']),
        })
        .collect();
    Matcher::builder()
        .all("http://proxy.invalid")
        .no(hosts.join(","))
        .build()
        .intercept(server)
        .is_none()
}

/// Splits `host:port`. The colons of an IPv6 address outside brackets are not followed by a port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((host, port)) = entry.rsplit_once(':')
        && (!host.contains(':') || host.ends_with(']'))
        && let Ok(port) = port.parse()
    {
        return (host, Some(port));
    }
    (entry, None)
}

/// Returns the meaning of an HTTP client's error about a tunnel, by its text; the type is private.
#[must_use]
pub fn tunnel_failure(error: &str) -> Option<&'static str> {
    match error.strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some(
            "the proxy requires credentials (407): set them in its URL (http://USER:PASSWORD@HOST:PORT)",
        ),
        "unsuccessful" => Some("the proxy refused to connect to the server"),
        "unexpected end of file" => Some("the proxy closed the connection"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn chosen(server: &str, variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Proxy::from_variables(&server.parse().unwrap(), variable)
            .unwrap()
            .map(|proxy| proxy.to_string())
    }

    #[rstest]
    #[case("https://a", &[("HTTPS_PROXY", "http://p:1")], Some("http://p:1 (HTTPS_PROXY)"))]
    #[case("https://a", &[("https_proxy", "p:1")], Some("http://p:1 (https_proxy)"))]
    #[case("https://a", &[("HTTPS_PROXY", " "), ("https_proxy", "p:1")], Some("http://p:1 (https_proxy)"))]
    #[case::http_proxy_is_not_for_https("https://a", &[("HTTP_PROXY", "http://p:1")], None)]
    #[case::https_proxy_is_not_for_http("http://a", &[("HTTPS_PROXY", "http://p:1")], None)]
    #[case("http://a", &[("HTTP_PROXY", "https://p:1/")], Some("https://p:1 (HTTP_PROXY)"))]
    #[case("http://a", &[("ALL_PROXY", "http://p")], Some("http://p (ALL_PROXY)"))]
    #[case("https://a", &[("all_proxy", "http://p")], Some("http://p (all_proxy)"))]
    #[case::cgi("http://a", &[("HTTP_PROXY", "http://p"), ("REQUEST_METHOD", "GET")], None)]
    #[case::loopback("http://127.0.0.1:9090", &[("HTTP_PROXY", "http://p")], None)]
    #[case::loopback("https://[::1]:6443", &[("HTTPS_PROXY", "http://p")], None)]
    #[case::loopback("http://Localhost", &[("HTTP_PROXY", "http://p")], None)]
    #[case("https://a", &[], None)]
    fn variable_of_the_scheme_selects_the_proxy(
        #[case] server: &str,
        #[case] variables: &[(&str, &str)],
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(chosen(server, variables).as_deref(), expected);
    }

    #[rstest]
    #[case::exact("https://prom.example.com", "prom.example.com", true)]
    #[case::any_case("https://Prom.Example.com", "prom.EXAMPLE.com", true)]
    #[case::subdomain("https://prom.example.com", "example.com", true)]
    #[case::suffix("https://prom.example.com", ".example.com", true)]
    #[case::wildcard_suffix("https://prom.example.com", "*.example.com", true)]
    #[case::other_suffix("https://prom.example.com", "ample.com", false)]
    #[case::all("https://prom.example.com", "*", true)]
    #[case::second("https://prom", "localhost, 10.0.0.0/8,,prom,", true)]
    #[case::blanks("https://prom", "localhost prom", true)]
    #[case::address("https://10.1.2.3:6443", "10.1.2.3", true)]
    #[case::range("https://10.1.2.3:6443", "10.0.0.0/8", true)]
    #[case::other_range("https://11.1.2.3:6443", "10.0.0.0/8", false)]
    #[case::ipv6("https://[fd00::1]:6443", "fd00::/8", true)]
    #[case::ipv6_in_brackets("https://[fd00::1]:6443", "[fd00::1]", true)]
    #[case::ipv6_with_port("https://[fd00::1]:6443", "[fd00::1]:6443", true)]
    #[case::port("https://prom:9090", "prom:9090", true)]
    #[case::other_port("https://prom:9090", "prom:9091", false)]
    #[case::default_port("https://prom", "prom:443", true)]
    #[case::default_port("https://prom", "prom:80", false)]
    #[case::suffix_and_port("https://a.prom:9090", ".prom:9090", true)]
    fn no_proxy_excludes_servers(#[case] server: &str, #[case] list: &str, #[case] direct: bool) {
        for name in ["NO_PROXY", "no_proxy"] {
            let proxy = chosen(server, &[("HTTPS_PROXY", "http://p"), (name, list)]);
            assert_eq!(proxy.is_none(), direct, "{name}: {proxy:?}");
        }
    }

    #[rstest]
    #[case::socks("socks5://me:hunter2@p:1080", "SOCKS proxies are not supported")]
    #[case::socks("SOCKS5H://p", "SOCKS proxies are not supported")]
    #[case::other_scheme("ftp://me:hunter2@p", "must begin with http://")]
    #[case::no_host("http://", "not valid")]
    #[case::blank("http://me:hunter2 @p", "not valid")]
    #[case::second_at("http://me:hunter2@hunter2@p", "%40")]
    #[case::slash("http://me:hunter2/x@p", "%40")]
    #[case::question_mark("http://me:1?hunter2@p", "%40")]
    #[case::port("http://p:hunter2", "not valid")]
    fn invalid_proxy_is_explained_without_its_url(#[case] url: &str, #[case] reason: &str) {
        let error = Proxy::parse("HTTPS_PROXY", url).unwrap_err().to_string();
        assert!(
            error.starts_with("HTTPS_PROXY: the proxy cannot be used: "),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
        assert!(error.contains("http://proxy.example.com:3128"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn credentials_are_sent_and_not_shown() {
        let proxy = Proxy::parse("HTTPS_PROXY", "http://Aladdin:open%20sesame@p:3128").unwrap();
        let value = proxy.authorization().unwrap();
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(value.is_sensitive());
        let shown = format!("{proxy} {proxy:?} {}", proxy.url());
        assert!(
            !shown.contains("sesame") && !shown.contains("Aladdin"),
            "{shown}"
        );
        let mut secrets = Secrets::default();
        proxy.add_secrets(&mut secrets);
        assert_eq!(
            secrets.hide("open sesame, QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            "[hidden], [hidden]"
        );
    }
}
