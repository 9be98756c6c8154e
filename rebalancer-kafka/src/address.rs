//! Addresses of brokers.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The address of a broker: a host name or an IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// `KAFKA_BOOTSTRAP_SERVERS`: at least one address of a broker. The other brokers are found through
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapServers(Vec<Address>);

impl BootstrapServers {
    /// The addresses, in the order of the setting and without duplicates.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.0
    }
}

impl fmt::Display for BootstrapServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{address}")?;
        }
        Ok(())
    }
}

/// Why a list of servers is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidServers {
    /// The list has no entry.
    #[error("the list is empty; set at least one HOST:PORT, such as kafka:9092")]
    Empty,
    /// An entry is not a host and a port.
    #[error("`{entry}` is not a valid HOST:PORT: {reason}")]
    BadEntry {
        /// The entry.
        entry: String,
        /// The problem.
        reason: &'static str,
    },
}

impl FromStr for BootstrapServers {
    type Err = InvalidServers;

    /// Parses `HOST:PORT,HOST:PORT,…`. An IPv6 address is in brackets.
    ///
    /// A listener name before the address (`SASL_SSL://kafka:9092`) is refused and not ignored: it
    /// would suggest that it selects the security protocol.
    fn from_str(text: &str) -> Result<Self, InvalidServers> {
        let mut addresses = Vec::new();
        for entry in text.split(',').map(str::trim) {
            if entry.is_empty() {
                continue;
            }
            let address = parse(entry).map_err(|reason| InvalidServers::BadEntry {
                entry: entry.to_owned(),
                reason,
            })?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(InvalidServers::Empty);
        }
        Ok(Self(addresses))
    }
}

fn parse(entry: &str) -> Result<Address, &'static str> {
    if entry.contains("://") {
        return Err("remove the scheme; KAFKA_SECURITY_PROTOCOL selects TLS and SASL");
    }
    let Some((host, port)) = entry.rsplit_once(':') else {
        return Err("the port is missing (usually 9092)");
    };
    let port = match port.parse() {
        Ok(port) if port > 0 => port,
        Ok(_) | Err(_) => return Err("the port must be a number from 1 to 65535"),
    };
    let host = match host.strip_prefix('[') {
        Some(rest) => match rest.strip_suffix(']') {
            Some(address) if address.parse::<Ipv6Addr>().is_ok() => address,
            Some(_) | None => return Err("the text in brackets is not an IPv6 address"),
        },
        None if host.contains(':') => {
            return Err("write an IPv6 address in brackets, such as [2001:db8::1]:9092");
        }
        None => host,
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !host.chars().all(is_allowed) {
        return Err("the host contains a character that host names cannot contain");
    }
    Ok(Address {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("kafka:9092", &["kafka:9092"])]
    #[case(" a:1 , b:65535,", &["a:1", "b:65535"])]
    #[case("a:1,a:1", &["a:1"])]
    #[case("10.0.0.1:9092", &["10.0.0.1:9092"])]
    #[case("[2001:db8::1]:9092", &["[2001:db8::1]:9092"])]
    #[case("b-1.msk_x.amazonaws.com:9098", &["b-1.msk_x.amazonaws.com:9098"])]
    fn list_of_addresses_is_parsed(#[case] text: &str, #[case] expected: &[&str]) {
        let servers: BootstrapServers = text.parse().unwrap();
        let shown: Vec<String> = servers
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(shown, expected);
        assert_eq!(servers.to_string(), expected.join(","));
    }

    #[rstest]
    #[case("", "the list is empty")]
    #[case(" , ", "the list is empty")]
    #[case("kafka", "`kafka` is not a valid HOST:PORT: the port is missing")]
    #[case("kafka:0", "from 1 to 65535")]
    #[case("kafka:65536", "from 1 to 65535")]
    #[case("kafka:", "from 1 to 65535")]
    #[case(":9092", "the host is missing")]
    #[case("2001:db8::1:9092", "in brackets")]
    #[case("[kafka]:9092", "not an IPv6 address")]
    #[case("[::1:9092", "not an IPv6 address")]
    #[case("SASL_SSL://kafka:9092", "remove the scheme")]
    #[case("a b:9092", "host names cannot contain")]
    fn bad_list_is_explained(#[case] text: &str, #[case] expected: &str) {
        let error = text.parse::<BootstrapServers>().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
