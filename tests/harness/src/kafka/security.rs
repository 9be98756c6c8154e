//! The listeners, users and certificates of a secured broker.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// A listener of a secured broker. Each has an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    /// Neither encrypted nor authenticated. Its user may do everything.
    Plaintext,
    /// TLS.
    Tls,
    /// TLS with a client certificate.
    MutualTls,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslTls,
    /// SASL over TLS with no mechanism but PLAIN.
    OnlyPlain,
}

impl Listener {
    /// Every listener of a secured broker.
    pub const ALL: [Self; 6] = [
        Self::Plaintext,
        Self::Tls,
        Self::MutualTls,
        Self::SaslPlaintext,
        Self::SaslTls,
        Self::OnlyPlain,
    ];

    /// The name in the broker's configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Tls => "TLS",
            Self::MutualTls => "MTLS",
            Self::SaslPlaintext => "SASL",
            Self::SaslTls => "SASLTLS",
            Self::OnlyPlain => "ONLYPLAIN",
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Tls | Self::MutualTls => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslTls | Self::OnlyPlain => "SASL_SSL",
        }
    }
}

/// The users of a secured broker: name and password, for PLAIN and SCRAM. A user has no rights
/// until a test grants them.
pub const USERS: [(&str, &str); 4] = [
    ("reader", "reader-secret"),
    ("describer", "describer-secret"),
    ("without-group", "without-group-secret"),
    ("without-topic", "without-topic-secret"),
];

/// The SCRAM mechanisms.
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// The files of certificates in the directory of a broker.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The certificate of the authority that issued the others.
    pub ca: PathBuf,
    /// The certificate and the key of a client whose principal is `User:CN=client`.
    pub client: (PathBuf, PathBuf),
    /// A certificate and its key that the broker does not trust.
    pub stranger: (PathBuf, PathBuf),
}

impl Certificates {
    /// Issues certificates and writes them to a directory. The certificate of the broker is valid
    /// for `127.0.0.1` only, and not for `localhost`.
    pub(super) fn issue(dir: &Path) -> Result<Self> {
        let failed = Error::document("a certificate of the broker");
        let issued = issue(dir).map_err(failed)?;
        for (path, content) in &issued.files {
            fs::write(path, content).map_err(Error::io(format!("write {}", path.display())))?;
        }
        Ok(issued.certificates)
    }
}

struct Issued {
    certificates: Certificates,
    files: Vec<(PathBuf, String)>,
}

fn issue(dir: &Path) -> std::result::Result<Issued, rcgen::Error> {
    let authority = |name: &str| {
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name = name_of(name);
        let key = rcgen::KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok::<_, rcgen::Error>((certificate.pem(), rcgen::Issuer::new(params, key)))
    };
    let (ca, issuer) = authority("authority")?;
    let (_, stranger) = authority("stranger")?;
    let leaf = |name: &str, hosts: &[&str], issuer: &rcgen::Issuer<'_, rcgen::KeyPair>| {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(hosts)?;
        params.distinguished_name = name_of(name);
        let key = rcgen::KeyPair::generate()?;
        let certificate = params.signed_by(&key, issuer)?;
        Ok::<_, rcgen::Error>((certificate.pem(), key.serialize_pem()))
    };
    let (server, server_key) = leaf("broker", &["127.0.0.1"], &issuer)?;
    let (client, client_key) = leaf("client", &["client"], &issuer)?;
    let (other, other_key) = leaf("other", &["other"], &stranger)?;
    let path = |name: &str| dir.join(name);
    let files = vec![
        (path("ca.pem"), ca.clone()),
        (path("broker.pem"), format!("{server_key}{server}{ca}")),
        (path("client.crt"), client),
        (path("client.key"), client_key),
        (path("stranger.crt"), other),
        (path("stranger.key"), other_key),
    ];
    Ok(Issued {
        certificates: Certificates {
            ca: path("ca.pem"),
            client: (path("client.crt"), path("client.key")),
            stranger: (path("stranger.crt"), path("stranger.key")),
        },
        files,
    })
}

fn name_of(name: &str) -> rcgen::DistinguishedName {
    let mut distinguished = rcgen::DistinguishedName::new();
    distinguished.push(rcgen::DnType::CommonName, name);
    distinguished
}

/// The arguments of the storage tool that create the SCRAM credentials.
pub(super) fn scram_arguments() -> Vec<String> {
    let mut arguments = Vec::new();
    for (name, password) in USERS {
        for mechanism in SCRAM {
            arguments.push("--add-scram".to_owned());
            arguments.push(format!("{mechanism}=[name={name},password={password}]"));
        }
    }
    arguments
}

/// The protocol of each listener, for the broker's configuration.
pub(super) fn protocol_map(listeners: &[(Listener, SocketAddr)]) -> String {
    let mut map = "CONTROLLER:PLAINTEXT".to_owned();
    for (listener, _) in listeners {
        let _ = write!(map, ",{}:{}", listener.name(), listener.protocol());
    }
    map
}

/// The configuration of TLS, SASL and access rules.
pub(super) fn properties(dir: &Path) -> String {
    let mut text = format!(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n\
         ssl.keystore.type=PEM\nssl.keystore.location={dir}/broker.pem\n\
         ssl.truststore.type=PEM\nssl.truststore.location={dir}/ca.pem\n\
         listener.name.mtls.ssl.client.auth=required\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
         listener.name.onlyplain.sasl.enabled.mechanisms=PLAIN\n",
        dir = dir.display()
    );
    let mut plain = "org.apache.kafka.common.security.plain.PlainLoginModule required".to_owned();
    for (name, password) in USERS {
        let _ = write!(plain, " user_{name}=\"{password}\"");
    }
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required";
    let oauth = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                 unsecuredLoginStringClaim_sub=\"broker\"";
    for listener in ["sasl", "sasltls", "onlyplain"] {
        let modules = [
            ("plain", plain.as_str()),
            ("scram-sha-256", scram),
            ("scram-sha-512", scram),
            ("oauthbearer", oauth),
        ];
        for (mechanism, module) in modules {
            let _ = writeln!(
                text,
                "listener.name.{listener}.{mechanism}.sasl.jaas.config={module};"
            );
        }
    }
    text
}
