//! The wire: a request taken from the program, given to the real server, and its answer back.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client, server};

use crate::http::Request;

/// The end of a head.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// A connection of the program, with or without TLS.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// The connection underneath.
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

/// The real server.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    /// Set where it speaks TLS.
    pub(super) tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
}

/// The real server's answer, as it came.
pub(super) struct Answer {
    pub(super) status: u16,
    /// With the blank line at its end.
    pub(super) head: Vec<u8>,
    /// As it was sent, in chunks where the server made some.
    pub(super) body: Vec<u8>,
}

impl Upstream {
    /// Asks on a connection of its own, which the server closes after its answer.
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

/// The request as it goes to the real server.
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
        // That connection is closed; the program's own is kept.
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

/// Reads until the peer has had enough of waiting.
pub(super) async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = [0; 1024];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

/// Closes the connection by a reset.
pub(super) fn reset(mut stream: impl Wire) -> io::Result<()> {
    stream.tcp().set_zero_linger()
}

/// Says that nothing more will come, and reads no more.
pub(super) async fn half_close(mut stream: impl Wire) -> io::Result<()> {
    stream.tcp().shutdown().await?;
    std::future::pending().await
}
