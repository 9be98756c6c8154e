//! A proxy in front of a real server that breaks chosen calls in a chosen way.
//!
//! It speaks plain HTTP in front of Prometheus, and TLS in front of the API server: with a
//! certificate of its own, which the kubeconfig that it writes trusts. It remembers every call, what
//! was done to it, and whether it reached the real server.

mod call;
mod relay;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

pub use call::CONNECT;
use call::Call;
use relay::{Answer, Upstream, Wire, half_close, reset, until_closed};

use crate::{
    ControlPlane, Error, MetricsServer, Result, World,
    controlplane::{ADMIN_TOKEN, write_kubeconfig},
    http::{Request, read_request},
};

/// What is done to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset; the server never hears of the call.
    Reset,
    /// The server carries it out, and the connection is reset in place of the answer.
    ResetAfter,
    /// Nothing happens any more; the server never hears of the call.
    Stall,
    /// The server carries it out, and nothing happens any more.
    StallAfter,
    /// The server carries it out; the connection is closed in the middle of the answer's body.
    Truncate,
    /// The sending side of the connection is closed, and nothing is read from it any more; the
    /// server never hears of the call.
    HalfOpen,
    /// This is answered; the server never hears of the call.
    Answer(Canned),
    /// The server carries it out, and this is answered in place of its answer.
    AnswerAfter(Canned),
    /// It is answered, and the connection, which was to be kept, is closed afterwards.
    CloseAfter,
    /// The server hears of it so much later.
    Latency(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset"),
            Self::ResetAfter => f.write_str("reset after it was carried out"),
            Self::Stall => f.write_str("stalled"),
            Self::StallAfter => f.write_str("stalled after it was carried out"),
            Self::Truncate => f.write_str("answer cut in half"),
            Self::HalfOpen => f.write_str("half closed"),
            Self::Answer(canned) => write!(f, "told {}", canned.status),
            Self::AnswerAfter(canned) => {
                write!(f, "told {} after it was carried out", canned.status)
            }
            Self::CloseAfter => f.write_str("closed after the answer"),
            Self::Latency(delay) => write!(f, "{delay:?} late"),
        }
    }
}

/// An answer that does not come from the real server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canned {
    status: u16,
    content_type: &'static str,
    retry_after: Option<u32>,
    body: String,
}

impl Canned {
    /// In the form of the Kubernetes API: a `Status` with a reason and a message.
    #[must_use]
    pub fn api(status: u16, reason: &str, message: &str) -> Self {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status,
        });
        Self {
            status,
            content_type: "application/json",
            retry_after: None,
            body: body.to_string(),
        }
    }

    /// A page, as something between the program and the server makes it.
    #[must_use]
    pub fn page(status: u16, text: &str) -> Self {
        Self {
            status,
            content_type: "text/html",
            retry_after: None,
            body: format!("<html>{text}</html>"),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// It is not in the form of the Kubernetes API.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.content_type == "text/html"
    }

    /// Asks to come back after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let Self {
            status,
            content_type,
            body,
            ..
        } = self;
        let retry_after = self
            .retry_after
            .map(|seconds| format!("Retry-After: {seconds}\r\n"))
            .unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {status} As-Told\r\nContent-Type: {content_type}\r\n{retry_after}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        (head + body).into_bytes()
    }
}

/// Which of the calls of one name a fault is for, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// This one alone.
    Only(usize),
    /// This one and all that follow.
    From(usize),
}

impl Turn {
    fn is(self, number: usize) -> bool {
        match self {
            Self::Only(turn) => number == turn,
            Self::From(turn) => number >= turn,
        }
    }
}

/// A call that came by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `get deployments`, `list pods`, `create pods/eviction`, `query load`, …; a page after the
    /// first is `list pods, continued`, and a connection is [`CONNECT`].
    pub call: String,
    /// The object's name, or empty.
    pub object: String,
    /// The path with its query, as the program sent it.
    pub target: String,
    /// What was done to it.
    pub fault: Option<Fault>,
    /// The real server was given it.
    pub forwarded: bool,
    /// The status of the answer: the real server's, or the one in its place.
    pub status: Option<u16>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.call, self.object)?;
        if let Some(fault) = &self.fault {
            write!(f, " [{fault}]")?;
        }
        let forwarded = if self.forwarded {
            ""
        } else {
            ", not forwarded"
        };
        match self.status {
            Some(status) => write!(f, " → {status}{forwarded}"),
            None => write!(f, " → nothing{forwarded}"),
        }
    }
}

struct Rule {
    call: String,
    turn: Turn,
    fault: Fault,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    refused_tokens: Vec<String>,
    page_size: Option<u32>,
}

struct Relay {
    upstream: Upstream,
    state: Mutex<State>,
}

/// A proxy, until it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    relay: Arc<Relay>,
    task: JoinHandle<()>,
    /// Where its files are; none in front of a metrics server.
    files: Option<Files>,
}

/// What a program needs to know of a proxy in front of the API server.
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
    /// Stands in front of a metrics server.
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

    /// Stands in front of the API server. Its files are among those of the world.
    ///
    /// # Errors
    /// If no port is free, or a file cannot be written.
    pub async fn kubernetes(world: &World) -> Result<Self> {
        static PROXIES: AtomicU32 = AtomicU32::new(0);
        let number = PROXIES.fetch_add(1, Ordering::Relaxed);
        // Another part of the process may have installed it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = Error::document("the certificate of a proxy");
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(failed)?;
        let files = Files {
            certificate: world.dir().join(format!("proxy-{number}.crt")),
            kubeconfig: world.dir().join(format!("proxy-{number}.kubeconfig")),
            namespace: world.namespace().to_owned(),
        };
        std::fs::write(&files.certificate, own.cert.pem())
            .map_err(Error::io(format!("write {}", files.certificate.display())))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .map_err(Error::document("the TLS configuration of a proxy"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let upstream = api_server(world.control_plane())?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let proxy = Self::start(upstream, Some(acceptor), Some(files)).await?;
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
            // Dropped with the task, which ends the stalled connections too.
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                if let Ok((stream, _)) = listener.accept().await {
                    let (relay, acceptor) = (Arc::clone(&serving), acceptor.clone());
                    // A peer that went away is no concern of the proxy.
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

    /// The address to give to the program under test.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.files.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// A kubeconfig that may do everything, through the proxy; empty in front of a metrics server.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        let files = self.files.as_ref();
        files.map_or_else(PathBuf::new, |files| files.kubeconfig.clone())
    }

    /// Writes a kubeconfig with a user of that content, such as `{"tokenFile": "/token"}`.
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

    /// Breaks calls of that name; of two faults for one call the first one counts.
    pub fn fault(&self, call: &str, turn: Turn, fault: Fault) {
        self.state().rules.push(Rule {
            call: call.to_owned(),
            turn,
            fault,
        });
    }

    /// From now on the token is answered with 401, as one that has expired.
    pub fn refuse_token(&self, token: &str) {
        self.state().refused_tokens.push(token.to_owned());
    }

    /// Asks the server for pages of so many objects, whatever the program asks for.
    pub fn page_size(&self, objects: u32) {
        self.state().page_size = Some(objects);
    }

    /// The calls so far, in the order in which they came; without the connections.
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

/// The API server, as the kubeconfigs of the harness have it.
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

impl Relay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a call: its place, and the fault that is for it.
    fn see(&self, call: Call, request: &Request) -> (usize, Option<Fault>) {
        let mut state = self.state();
        let number = 1 + state
            .seen
            .iter()
            .filter(|seen| seen.call == call.name)
            .count();
        let told = state
            .rules
            .iter()
            .find(|rule| rule.call == call.name && rule.turn.is(number))
            .map(|rule| rule.fault.clone());
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let refused = token.is_some_and(|token| state.refused_tokens.iter().any(|t| t == token));
        let fault = told.or_else(|| {
            refused.then(|| Fault::Answer(Canned::api(401, "Unauthorized", "Unauthorized")))
        });
        state.seen.push(Seen {
            call: call.name,
            object: call.object,
            target: request.path.clone(),
            fault: fault.clone(),
            forwarded: false,
            status: None,
        });
        (state.seen.len() - 1, fault)
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.state().seen.get_mut(index) {
            change(seen);
        }
    }

    async fn connection(
        &self,
        mut stream: TcpStream,
        acceptor: Option<TlsAcceptor>,
    ) -> std::io::Result<()> {
        let call = Call {
            name: CONNECT.to_owned(),
            object: String::new(),
        };
        let (_, fault) = self.see(call, &Request::default());
        match fault {
            Some(Fault::Reset | Fault::ResetAfter) => return reset(stream),
            Some(Fault::HalfOpen) => return half_close(stream).await,
            Some(Fault::Stall | Fault::StallAfter) => {
                // What the program sent stays unread.
                return std::future::pending().await;
            }
            Some(Fault::Latency(delay)) => tokio::time::sleep(delay).await,
            // Nobody has asked anything yet.
            Some(Fault::Truncate | Fault::CloseAfter) => return stream.shutdown().await,
            Some(Fault::Answer(canned) | Fault::AnswerAfter(canned)) => {
                return stream.write_all(&canned.bytes()).await;
            }
            None => {}
        }
        match acceptor {
            Some(acceptor) => self.serve(acceptor.accept(stream).await?).await,
            None => self.serve(stream).await,
        }
    }

    async fn serve(&self, stream: impl Wire) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let request = read_request(&mut stream).await?;
            let (index, fault) = self.see(Call::of(&request), &request);
            match fault {
                None => self.relay(index, request, &mut stream).await?,
                Some(Fault::Latency(delay)) => {
                    tokio::time::sleep(delay).await;
                    self.relay(index, request, &mut stream).await?;
                }
                Some(Fault::CloseAfter) => {
                    self.relay(index, request, &mut stream).await?;
                    return stream.shutdown().await;
                }
                Some(Fault::AnswerAfter(canned)) => {
                    self.forward(index, request).await?;
                    self.note(index, |seen| seen.status = Some(canned.status));
                    stream.write_all(&canned.bytes()).await?;
                }
                Some(Fault::Answer(canned)) => {
                    self.note(index, |seen| seen.status = Some(canned.status));
                    stream.write_all(&canned.bytes()).await?;
                }
                Some(Fault::Reset) => return reset(stream.into_inner()),
                Some(Fault::ResetAfter) => {
                    self.forward(index, request).await?;
                    return reset(stream.into_inner());
                }
                Some(Fault::Stall) => {
                    until_closed(&mut stream).await;
                    return Ok(());
                }
                Some(Fault::StallAfter) => {
                    self.forward(index, request).await?;
                    until_closed(&mut stream).await;
                    return Ok(());
                }
                Some(Fault::Truncate) => {
                    let Answer { head, body, .. } = self.forward(index, request).await?;
                    let (half, _) = body.split_at(body.len() / 2);
                    stream.write_all(&head).await?;
                    stream.write_all(half).await?;
                    stream.flush().await?;
                    return stream.shutdown().await;
                }
                Some(Fault::HalfOpen) => return half_close(stream.into_inner()).await,
            }
            stream.flush().await?;
        }
    }

    async fn relay(
        &self,
        index: usize,
        request: Request,
        stream: &mut BufReader<impl Wire>,
    ) -> std::io::Result<()> {
        let answer = self.forward(index, request).await?;
        stream.write_all(&answer.head).await?;
        stream.write_all(&answer.body).await?;
        stream.flush().await
    }

    async fn forward(&self, index: usize, mut request: Request) -> std::io::Result<Answer> {
        if let Some(objects) = self.state().page_size {
            request.path = with_limit(&request.path, objects);
        }
        self.note(index, |seen| seen.forwarded = true);
        let answer = self.upstream.ask(&request).await;
        self.note(index, |seen| match &answer {
            Ok(answer) => seen.status = Some(answer.status),
            // Nobody was there to take it.
            Err(error) => seen.forwarded = error.kind() != std::io::ErrorKind::ConnectionRefused,
        });
        answer
    }
}

/// The address with another `limit`, where it has one.
fn with_limit(path: &str, objects: u32) -> String {
    let Some((before, rest)) = path.split_once("limit=") else {
        return path.to_owned();
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}limit={objects}{rest}")
}
