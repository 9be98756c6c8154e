//! A minimal HTTP/1 client for plain responses, and a server for scripted ones.
//!
//! An HTTP library would hide the bytes on the wire from the fault tests, and would add its own TLS
//! and proxy settings.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{Error, Result};

/// Response deadline of the harness's servers.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Sends a GET request for `path` (with its query) to a server on loopback. Returns status and
/// body.
///
/// # Errors
/// If the server cannot be reached or does not speak HTTP.
pub async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    get_with(address, path, "").await
}

/// Sends a GET request as [`get`] does, with header lines, each of which ends with `\r\n`.
///
/// # Errors
/// As [`get`].
pub(crate) async fn get_with(
    address: SocketAddr,
    path: &str,
    headers: &str,
) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        // With HTTP/1.0 the response is not chunked and the connection is closed after it.
        let head = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let action = || format!("GET http://{address}{path}");
    let answer = tokio::time::timeout(ANSWER_DEADLINE, exchange)
        .await
        .map_err(|elapsed| Error::io(action())(elapsed.into()))?
        .map_err(Error::io(action()))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| Error::Document {
        what: format!("the answer to {}", action()),
        message: format!("no status line in {head:?}"),
    })?;
    Ok((status, body.to_owned()))
}

/// Percent-encodes a value for the query part of a URL.
#[must_use]
pub fn percent_encode(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A request as a [`HttpServer`] received it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// GET, POST, …
    pub method: String,
    /// The path with its query, as sent.
    pub path: String,
    /// The headers in order, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Request {
    /// The first value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The behaviour of a [`HttpServer`] for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Answers with a status, a content type and a body.
    Answer {
        /// The HTTP status code.
        status: u16,
        /// The value of the header `Content-Type`.
        content_type: String,
        /// The body.
        body: String,
    },
    /// Redirects the client.
    Redirect {
        /// The HTTP status code.
        status: u16,
        /// The value of the header `Location`.
        location: String,
    },
    /// Keeps the connection open and sends nothing.
    Stall,
    /// Closes the connection without a response.
    HangUp,
}

/// A server on loopback with scripted replies. Dropping it stops it.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Starts the server on the current runtime.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(answer: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(Error::io("listen on 127.0.0.1"))?;
        let address = listener
            .local_addr()
            .map_err(Error::io("read the address listened on"))?;
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            // Dropping the set also ends stalled connections.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                if let Ok((stream, _)) = listener.accept().await {
                    let answer = Arc::clone(&answer);
                    // A client that disconnects is not an error of the server.
                    connections.spawn(async move { serve(stream, answer.as_ref()).await.ok() });
                }
            }
        });
        Ok(Self { address, task })
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request from a connection. The end of the connection is an error.
pub(crate) async fn read_request(
    stream: &mut BufReader<impl AsyncRead + Unpin>,
) -> std::io::Result<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut request = Request {
        method: first.next().unwrap_or_default().to_owned(),
        path: first.next().unwrap_or_default().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(request)
}

async fn serve(
    stream: TcpStream,
    answer: &(impl Fn(Request) -> Reply + Sync),
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read_request(&mut stream).await?;
    match answer(request) {
        Reply::Answer {
            status,
            content_type,
            body,
        } => {
            let reason = reason(status);
            let head = format!(
                "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            stream.shutdown().await
        }
        Reply::Redirect { status, location } => {
            let reason = reason(status);
            let head = format!(
                "HTTP/1.1 {status} {reason}\r\nLocation: {location}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.shutdown().await
        }
        Reply::Stall => {
            // Until the client disconnects.
            stream.read_u8().await?;
            Ok(())
        }
        Reply::HangUp => Ok(()),
    }
}

pub(crate) fn reason(status: u16) -> &'static str {
    ::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason())
        .unwrap_or("Unknown")
}
