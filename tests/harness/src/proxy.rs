//! A proxy in front of a real server that injects faults into chosen calls.
//!
//! It speaks plain HTTP in front of Prometheus. In front of the API server it speaks TLS with its
//! own certificate, which the kubeconfig that it writes trusts. It records every call, the injected
//! fault, and whether the call reached the real server.

mod call;
mod fault;
mod relay;
mod serve;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

pub use call::CONNECT;
pub use fault::{Canned, Fault, Turn};
use relay::Upstream;
pub use serve::Seen;
use serve::{Relay, Rule, State};

use crate::{
    ControlPlane, Error, MetricsServer, Result, TestNamespace,
    controlplane::{ADMIN_TOKEN, write_kubeconfig},
    tls::SelfSigned,
};

/// A running proxy. Dropping it stops it.
pub struct FaultProxy {
    address: SocketAddr,
    relay: Arc<Relay>,
    task: JoinHandle<()>,
    /// Its files; `None` in front of a metrics server.
    files: Option<Files>,
}

/// The files and settings with which a client connects to a proxy in front of the API server.
struct Files {
    certificate: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FaultProxy {
    /// Starts a proxy in front of a metrics server.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn prometheus(server: &MetricsServer) -> Result<Self> {
        let upstream = Upstream {
            address: server.address(),
            tls: None,
        };
        Self::start(upstream, None, None).await
    }

    /// Starts a proxy in front of the API server. Its files are in the test namespace's directory.
    ///
    /// # Errors
    /// If no port is free, or a file cannot be written.
    pub async fn kubernetes(ns: &TestNamespace) -> Result<Self> {
        static PROXIES: AtomicU32 = AtomicU32::new(0);
        let number = PROXIES.fetch_add(1, Ordering::Relaxed);
        let own = SelfSigned::issue("a proxy")?;
        let files = Files {
            certificate: ns.dir().join(format!("proxy-{number}.crt")),
            kubeconfig: ns.dir().join(format!("proxy-{number}.kubeconfig")),
            namespace: ns.name().to_owned(),
        };
        std::fs::write(&files.certificate, own.certificate)
            .map_err(Error::io(format!("write {}", files.certificate.display())))?;
        let upstream = api_server(ns.control_plane())?;
        let proxy = Self::start(upstream, Some(own.acceptor), Some(files)).await?;
        if let Some(files) = &proxy.files {
            proxy.write_kubeconfig(&files.kubeconfig, json!({"token": ADMIN_TOKEN}))?;
        }
        Ok(proxy)
    }

    async fn start(
        upstream: Upstream,
        acceptor: Option<TlsAcceptor>,
        files: Option<Files>,
    ) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(Error::io("listen on 127.0.0.1"))?;
        let address = listener
            .local_addr()
            .map_err(Error::io("read the address listened on"))?;
        let relay = Arc::new(Relay {
            upstream,
            state: Mutex::default(),
        });
        let serving = Arc::clone(&relay);
        let task = tokio::spawn(async move {
            // Dropping the set also ends stalled connections.
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                if let Ok((stream, _)) = listener.accept().await {
                    let (relay, acceptor) = (Arc::clone(&serving), acceptor.clone());
                    // A client that disconnects is not an error of the proxy.
                    connections.spawn(async move { relay.connection(stream, acceptor).await.ok() });
                }
            }
        });
        Ok(Self {
            address,
            relay,
            task,
            files,
        })
    }

    /// The URL for the program under test.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.files.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// The path of a kubeconfig with all rights that connects through the proxy. Empty in front of
    /// a metrics server.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        let files = self.files.as_ref();
        files.map_or_else(PathBuf::new, |files| files.kubeconfig.clone())
    }

    /// Writes a kubeconfig with the given user entry, such as `{"tokenFile": "/token"}`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, user: Value) -> Result<()> {
        let Some(files) = &self.files else {
            return Ok(());
        };
        write_kubeconfig(
            path,
            &self.url(),
            &files.certificate,
            user,
            &files.namespace,
        )
    }

    /// Injects a fault into calls of that name. If several faults match a call, the first one
    /// applies.
    pub fn fault(&self, call: &str, turn: Turn, fault: Fault) {
        self.state().rules.push(Rule {
            call: call.to_owned(),
            turn,
            fault,
        });
    }

    /// Answers calls with this token with 401 from now on, as for an expired token.
    pub fn refuse_token(&self, token: &str) {
        self.state().refused_tokens.push(token.to_owned());
    }

    /// Requests pages of `objects` objects from the server, whatever the program requests.
    pub fn page_size(&self, objects: u32) {
        self.state().page_size = Some(objects);
    }

    /// The calls so far, in order, without the connections.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let mut seen = self.state().seen.clone();
        seen.retain(|seen| seen.call != CONNECT);
        seen
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.relay.state()
    }
}

/// The API server's address and certificate.
fn api_server(control_plane: &ControlPlane) -> Result<Upstream> {
    let what = || "the API server's certificate".to_owned();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(control_plane.certificate())
        .map_err(Error::document(what()))?
    {
        let certificate = certificate.map_err(Error::document(what()))?;
        roots.add(certificate).map_err(Error::document(what()))?;
    }
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address: SocketAddr = control_plane
        .url()
        .trim_start_matches("https://")
        .parse()
        .map_err(Error::document("the API server's address"))?;
    let name = ServerName::from(address.ip());
    Ok(Upstream {
        address,
        tls: Some((Arc::new(config), name)),
    })
}
