//! The connections to the program and to the real server.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client, server};

use crate::http::Request;

/// The end of an HTTP head.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// A connection from the program, with or without TLS.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// The underlying TCP connection.
    fn tcp(&mut self) -> &mut TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&mut self) -> &mut TcpStream {
        self
    }
}

impl Wire for server::TlsStream<TcpStream> {
    fn tcp(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

/// The real server's address and TLS settings.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    /// Set if the server speaks TLS.
    pub(super) tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
}

/// The real server's unchanged response.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The head with its final blank line.
    pub(super) head: Vec<u8>,
    /// The body as sent; possibly chunked.
    pub(super) body: Vec<u8>,
}

impl Upstream {
    /// Sends the request on a new connection, which the server closes after its response.
    pub(super) async fn ask(&self, request: &Request) -> io::Result<Answer> {
        let stream = TcpStream::connect(self.address).await?;
        let text = text(request);
        let bytes = match &self.tls {
            None => exchange(stream, &text).await?,
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream: client::TlsStream<TcpStream> =
                    connector.connect(name.clone(), stream).await?;
                exchange(stream, &text).await?
            }
        };
        Answer::read(&bytes)
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// The request as sent to the real server.
fn text(request: &Request) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        if name != "connection" {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    text.push_str("connection: close\r\n\r\n");
    text.push_str(&request.body);
    text
}

impl Answer {
    fn read(bytes: &[u8]) -> io::Result<Self> {
        let end = bytes
            .windows(BLANK_LINE.len())
            .position(|window| window == BLANK_LINE)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let (head, body) = bytes.split_at(end + BLANK_LINE.len());
        let head = String::from_utf8_lossy(head);
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        // Only the connection to the server closes; the program's connection stays open.
        let lines = head
            .split_inclusive("\r\n")
            .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        Ok(Self {
            status,
            head: lines.collect::<String>().into_bytes(),
            body: body.to_vec(),
        })
    }
}

/// Reads until the client disconnects.
pub(super) async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = [0; 1024];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

/// Resets the connection.
pub(super) fn reset(mut stream: impl Wire) -> io::Result<()> {
    stream.tcp().set_zero_linger()
}

/// Closes the sending side, and reads nothing more.
pub(super) async fn half_close(mut stream: impl Wire) -> io::Result<()> {
    stream.tcp().shutdown().await?;
    std::future::pending().await
}
