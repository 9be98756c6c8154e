//! The node exporter of Prometheus, with its textfile collector only.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use crate::{
    Result, assets,
    http::get,
    process::{Server, free_port, server_dir, with_ports},
};

/// A running node exporter (`prometheus-node-exporter` in `PATH`, or `NODE_EXPORTER_BIN`).
#[derive(Debug)]
pub struct NodeExporter {
    address: SocketAddr,
    // Stopped when dropped.
    _server: Server,
}

impl NodeExporter {
    /// Starts a node exporter that collects the files `*.prom` of a folder.
    ///
    /// # Errors
    /// If the program is missing or does not become ready.
    pub async fn collecting(folder: &Path) -> Result<Self> {
        let program = assets::installed_program("prometheus-node-exporter", "NODE_EXPORTER_BIN")?;
        with_ports(async || Self::start_once(&program, folder).await).await
    }

    async fn start_once(program: &Path, folder: &Path) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let args = [
            format!("--web.listen-address={address}"),
            "--web.disable-exporter-metrics".to_owned(),
            "--collector.disable-defaults".to_owned(),
            "--collector.textfile".to_owned(),
            format!("--collector.textfile.directory={}", folder.display()),
        ];
        let dir = server_dir("node-exporter")?;
        let mut server = Server::spawn("node-exporter", program, args, dir)?;
        server
            .wait_ready(Duration::from_secs(60), async || {
                match get(address, "/").await {
                    Ok((200, _)) => Ok(()),
                    Ok((status, body)) => Err(format!("answered {status}: {body}")),
                    Err(error) => Err(error.to_string()),
                }
            })
            .await?;
        Ok(Self {
            address,
            _server: server,
        })
    }

    /// The metrics as a scrape reads them.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let (_, body) = get(self.address, "/metrics").await?;
        Ok(body)
    }
}
