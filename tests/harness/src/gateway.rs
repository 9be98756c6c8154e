//! The proxies that clusters have between the program and its servers.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::{
    Error, MetricsServer, Result,
    http::{self, Request, read_request},
};

/// The domain of host names that only a [`ForwardProxy`] can resolve.
pub const DOMAIN: &str = "beyond-the-proxy.test";

/// Accepts connections until it is dropped.
#[derive(Debug)]
struct Listening {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listening {
    async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(Error::io("listen on 127.0.0.1"))?;
        let address = listener
            .local_addr()
            .map_err(Error::io("read the address listened on"))?;
        let task = tokio::spawn(async move {
            // Dropping the set also ends open connections.
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                if let Ok((stream, _)) = listener.accept().await {
                    // A client that disconnects is not an error of the proxy.
                    connections.spawn(serve(stream));
                }
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Record = Arc<Mutex<Vec<String>>>;

fn recorded(record: &Record) -> Vec<String> {
    record
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

fn note(record: &Record, text: String) {
    record
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(text);
}

/// An HTTP proxy of a company network: tunnels (CONNECT), and requests with a whole URL.
///
/// It alone resolves names below [`DOMAIN`]: to the loopback interface.
#[derive(Debug)]
pub struct ForwardProxy {
    listening: Listening,
    requests: Record,
}

impl ForwardProxy {
    /// Starts a proxy. With `authorization`, it requires that value of `Proxy-Authorization`.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(authorization: Option<&str>) -> Result<Self> {
        let requests = Record::default();
        let record = Arc::clone(&requests);
        let authorization = authorization.map(str::to_owned);
        let listening = Listening::start(move |stream| {
            forward(stream, authorization.clone(), Arc::clone(&record))
        })
        .await?;
        Ok(Self {
            listening,
            requests,
        })
    }

    /// The host and the port of the proxy.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// The first lines of the requests so far, without the protocol version, such as
    /// `CONNECT host:443`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        recorded(&self.requests)
    }
}

async fn forward(
    stream: TcpStream,
    authorization: Option<String>,
    record: Record,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read_request(&mut stream).await?;
    note(&record, format!("{} {}", request.method, request.path));
    if authorization.is_some() && request.header("proxy-authorization") != authorization.as_deref()
    {
        let text = "who are you";
        return answer(stream, 407, "text/plain", text).await;
    }
    if request.method == "CONNECT" {
        let Ok(mut server) = connect(&request.path).await else {
            return answer(stream, 502, "text/plain", "no route").await;
        };
        stream
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .await?;
        stream.flush().await?;
        tokio::io::copy_bidirectional(&mut stream, &mut server).await?;
        return Ok(());
    }
    let url = request.path.strip_prefix("http://").unwrap_or_default();
    let (host, path) = url.split_once('/').unwrap_or((url, ""));
    let Ok(mut server) = connect(host).await else {
        return answer(stream, 502, "text/plain", "no route").await;
    };
    let mut head = format!(
        "{} /{path} HTTP/1.1\r\nconnection: close\r\n",
        request.method
    );
    for (name, value) in &request.headers {
        if !matches!(name.as_str(), "proxy-authorization" | "connection") {
            head += &format!("{name}: {value}\r\n");
        }
    }
    server.write_all(head.as_bytes()).await?;
    server.write_all(b"\r\n").await?;
    server.write_all(request.body.as_bytes()).await?;
    let mut response = Vec::new();
    server.read_to_end(&mut response).await?;
    stream.write_all(&response).await?;
    stream.shutdown().await
}

/// Connects to `host:port`, with 80 as the default port.
async fn connect(target: &str) -> std::io::Result<TcpStream> {
    let (host, port) = target.rsplit_once(':').unwrap_or((target, "80"));
    let host = if host.ends_with(DOMAIN) {
        "127.0.0.1"
    } else {
        host
    };
    let port: u16 = port.parse().map_err(std::io::Error::other)?;
    TcpStream::connect((host, port)).await
}

/// The tenancy proxy of OpenShift in front of a metrics server.
///
/// It requires a bearer token and the parameter `namespace` in the URL, and checks a permission for
/// the HTTP method: accounts that may read metrics may GET, and POST needs the verb `create`.
#[derive(Debug)]
pub struct TenancyProxy {
    listening: Listening,
    requests: Record,
}

impl TenancyProxy {
    /// Starts the proxy in front of a metrics server, for accounts that may only read.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(server: &MetricsServer) -> Result<Self> {
        let requests = Record::default();
        let record = Arc::clone(&requests);
        let upstream = server.address();
        let listening =
            Listening::start(move |stream| tenancy(stream, upstream, Arc::clone(&record))).await?;
        Ok(Self {
            listening,
            requests,
        })
    }

    /// The URL, without the parameter.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.listening.address)
    }

    /// The methods and paths of the requests that were passed on.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        recorded(&self.requests)
    }
}

async fn tenancy(stream: TcpStream, upstream: SocketAddr, record: Record) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read_request(&mut stream).await?;
    let authorized = request
        .header("authorization")
        .is_some_and(|value| value.starts_with("Bearer "));
    let Request { method, path, .. } = request;
    let parameters = path
        .split_once('?')
        .map_or("", |(_, parameters)| parameters);
    let has_namespace = parameters.split('&').any(|pair| {
        pair.strip_prefix("namespace=")
            .is_some_and(|value| !value.is_empty())
    });
    if !authorized {
        return answer(stream, 401, "text/plain", "Unauthorized\n").await;
    }
    if !has_namespace {
        let text = "Bad Request. The request or configuration is malformed.\n";
        return answer(stream, 400, "text/plain", text).await;
    }
    if method != "GET" {
        let text = "Forbidden (user=system:serviceaccount:shop:rebalancer, verb=create, \
                    resource=pods, subresource=)\n";
        return answer(stream, 403, "text/plain", text).await;
    }
    note(&record, format!("{method} {path}"));
    let (status, body) = http::get(upstream, &path)
        .await
        .map_err(std::io::Error::other)?;
    answer(stream, status, "application/json", &body).await
}

async fn answer(
    mut stream: BufReader<TcpStream>,
    status: u16,
    content_type: &str,
    body: &str,
) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        http::reason(status),
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
