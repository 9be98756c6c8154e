//! A Pushgateway.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use crate::{
    Error, Result, assets,
    http::get_with,
    process::{Server, free_port, server_dir, with_ports},
};

/// The password of [`PushGateway::with_password`]; the user is `me`.
pub const PASSWORD: &str = "s3cr3t-w0rd";
/// The bcrypt hash of [`PASSWORD`].
const PASSWORD_HASH: &str = "$2b$04$UDkacnG4ry2wwm8veui57O8pEvyTrJEeoMomldiIEEuhMM/7pEDjC";

/// The header with the user and [`PASSWORD`].
const AUTHORIZATION: &str = "Authorization: Basic bWU6czNjcjN0LXcwcmQ=\r\n";

/// A running Pushgateway (`prometheus-pushgateway` in `PATH`, or `PUSHGATEWAY_BIN`).
#[derive(Debug)]
pub struct PushGateway {
    address: SocketAddr,
    /// The header lines of a request.
    headers: &'static str,
    // Stopped when dropped.
    _server: Server,
}

impl PushGateway {
    /// Starts a Pushgateway without authentication.
    ///
    /// # Errors
    /// If the program is missing or does not become ready.
    pub async fn start() -> Result<Self> {
        Self::start_with(None, "").await
    }

    /// Starts a Pushgateway that requires basic authentication of the user `me` with [`PASSWORD`].
    ///
    /// # Errors
    /// If the program is missing or does not become ready.
    pub async fn with_password() -> Result<Self> {
        let users = format!("basic_auth_users:\n  me: {PASSWORD_HASH}\n");
        Self::start_with(Some(users), AUTHORIZATION).await
    }

    async fn start_with(config: Option<String>, headers: &'static str) -> Result<Self> {
        let program = assets::installed_program("prometheus-pushgateway", "PUSHGATEWAY_BIN")?;
        with_ports(async || Self::start_once(&program, config.as_deref(), headers).await).await
    }

    async fn start_once(
        program: &Path,
        config: Option<&str>,
        headers: &'static str,
    ) -> Result<Self> {
        let dir = server_dir("pushgateway")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut args = vec![format!("--web.listen-address={address}")];
        if let Some(config) = config {
            let file = dir.join("web.yaml");
            fs::write(&file, config).map_err(Error::io(format!("write {}", file.display())))?;
            args.push(format!("--web.config.file={}", file.display()));
        }
        let mut server = Server::spawn("pushgateway", program, args, dir)?;
        server
            .wait_ready(Duration::from_secs(60), async || {
                match get_with(address, "/-/ready", headers).await {
                    Ok((200, _)) => Ok(()),
                    Ok((status, body)) => Err(format!("answered {status}: {body}")),
                    Err(error) => Err(error.to_string()),
                }
            })
            .await?;
        Ok(Self {
            address,
            headers,
            _server: server,
        })
    }

    /// The base URL, for `METRICS_PUSH_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address, for a scrape.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The metrics as a scrape reads them.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let (_, body) = get_with(self.address, "/metrics", self.headers).await?;
        Ok(body)
    }
}
