//! An HTTP server for tests, with configured replies and a record of its requests.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The reaction of the server to a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A response with a status, header lines and a body.
    Full(String, String, String),
    /// No response.
    Stall,
    /// A response that stalls in the middle of the body.
    StallInBody,
    /// A closed connection instead of a response.
    Close,
    /// A connection that is closed in the middle of the body.
    CloseInBody,
}

impl Reply {
    pub(crate) fn json(body: &str) -> Self {
        Self::status("200 OK", body)
    }

    pub(crate) fn status(status: &str, body: &str) -> Self {
        Self::Full(status.into(), String::new(), body.into())
    }

    /// A successful response with these samples.
    pub(crate) fn vector(samples: &str) -> Self {
        Self::json(&format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{samples}]}}}}"#
        ))
    }
}

/// A running server. It stops with the runtime of the test.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server that chooses its reply by the request. The form-encoded body is decoded.
    pub(crate) async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::run(None, reply).await
    }

    /// Starts a server that replies to every request in the same way.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    /// Starts a TLS server that replies to every request in the same way.
    pub(crate) async fn tls(acceptor: TlsAcceptor, reply: Reply) -> Self {
        Self::run(Some(acceptor), move |_| reply.clone()).await
    }

    async fn run(
        tls: Option<TlsAcceptor>,
        reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let reply = Arc::new(reply);
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, reply, seen) = (tls.clone(), Arc::clone(&reply), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &*reply, &seen).await,
                        Some(acceptor) => {
                            // A client that does not trust the certificate ends the handshake.
                            match acceptor.accept(stream).into_fallible().await {
                                Ok(stream) => serve(stream, &*reply, &seen).await,
                                // Without reading what the client sent, closing the connection
                                // would reset it, and the client would not receive the alert.
                                Err((_, mut stream)) => {
                                    let _ = stream.shutdown().await;
                                    let _ =
                                        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                                }
                            }
                        }
                    }
                });
            }
        });
        Self { url, requests }
    }

    /// Returns the head and the decoded body of each request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    reply: &(impl Fn(&str) -> Reply + ?Sized),
    seen: &Mutex<Vec<String>>,
) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    seen.lock().unwrap().push(request.clone());
    let (text, stall) = match reply(&request) {
        Reply::Full(status, headers, body) => (
            format!(
                "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            ),
            false,
        ),
        Reply::Stall => (String::new(), true),
        Reply::StallInBody => (
            "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".into(),
            true,
        ),
        Reply::Close => (String::new(), false),
        Reply::CloseInBody => (
            "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".into(),
            false,
        ),
    };
    // The client may already have closed the connection.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
    if stall {
        std::future::pending::<()>().await;
    }
    let _ = stream.shutdown().await;
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse::<usize>().unwrap());
        if body.len() >= length {
            return Some(format!("{head}\r\n\r\n{}", form_decoded(body)));
        }
    }
}

fn form_decoded(body: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = body.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}
