//! The HTTP server of the metrics and the probes.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::status::{Readiness, Status};
use crate::error::CliError;

/// The number of connections that are served at the same time.
const CONNECTIONS: usize = 64;
/// The longest time that a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time of a connection, of which each serves one request. Clients that keep all
/// connections would keep the probes from being answered.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// The time after which accepting connections is tried again after a failure, such as too many open
/// files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(500);
/// The number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain; charset=utf-8";
const INDEX: &str = concat!(
    "rebalancer ",
    env!("CARGO_PKG_VERSION"),
    "\n/metrics\n/healthz\n/readyz\n"
);

/// Opens the socket. `[::]` is every address, also those of IPv4; where the system has no IPv6,
/// only those of IPv4.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, CliError> {
    bind_with(address, TcpSocket::new_v6)
}

/// Opens the socket, with `new_v6` for a socket of IPv6.
fn bind_with(
    address: SocketAddr,
    new_v6: fn() -> io::Result<TcpSocket>,
) -> Result<TcpListener, CliError> {
    let (socket, address) = match address.ip() {
        IpAddr::V4(_) => (TcpSocket::new_v4(), address),
        IpAddr::V6(ip) => match new_v6() {
            Err(error) if ip.is_unspecified() => {
                debug!(%error, "the system has no IPv6");
                let every = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
                (TcpSocket::new_v4(), every)
            }
            socket => (socket, address),
        },
    };
    let listener = socket.and_then(|socket| {
        // The port is free although connections of an earlier process have not yet timed out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    listener.map_err(|source| CliError::Listen { address, source })
}

/// Answers requests, for ever.
pub(crate) async fn serve(listener: TcpListener, status: Arc<Status>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let permit = Arc::clone(&permits).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let status = Arc::clone(&status);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = response(
                    &status,
                    request.method(),
                    request.uri().path(),
                    request.headers(),
                );
                async { Ok::<_, Infallible>(response) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            match timeout(CONNECTION_TIMEOUT, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "a connection ended with an error"),
                Err(_) => debug!("a connection was closed after {CONNECTION_TIMEOUT:?}"),
            }
            drop(permit);
        });
    }
}

/// The response to a request.
fn response(
    status: &Status,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Response<Full<Bytes>> {
    let text = |code, body: String| document(code, TEXT, body);
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    match path {
        "/" => text(StatusCode::OK, INDEX.into()),
        "/metrics" => metrics(status, headers),
        // The loop of runs shares the thread of this server: an answer means that it is not stuck.
        "/healthz" => text(StatusCode::OK, "ok\n".into()),
        "/readyz" => match status.readiness() {
            Readiness::Ready => text(StatusCode::OK, "ok\n".into()),
            Readiness::Starting => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the Kubernetes API has not yet answered who the leader is\n".into(),
            ),
            Readiness::Stopping => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the process stops\n".into(),
            ),
        },
        _ => text(StatusCode::NOT_FOUND, "not found\n".into()),
    }
}

/// The metrics, in the format that the client accepts.
fn metrics(status: &Status, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let accepts_open_metrics = headers.get_all(ACCEPT).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.contains(OPEN_METRICS))
    });
    let exposition = status.metrics.exposition();
    if accepts_open_metrics {
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        document(StatusCode::OK, content_type, exposition.openmetrics())
    } else {
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        document(StatusCode::OK, content_type, exposition.prometheus_text())
    }
}

fn document(code: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = code;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use rstest::rstest;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::sleep;

    use super::*;

    const PROBE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

    /// The response to a probe of the server at this port of 127.0.0.1.
    async fn probe(port: u16) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(PROBE).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    #[rstest]
    #[case::ipv4("0.0.0.0:0", TcpSocket::new_v6)]
    #[case::both("[::]:0", TcpSocket::new_v6)]
    #[case::without_ipv6("[::]:0", || Err(io::ErrorKind::Unsupported.into()))]
    #[tokio::test]
    async fn every_address_includes_those_of_ipv4(
        #[case] address: SocketAddr,
        #[case] new_v6: fn() -> io::Result<TcpSocket>,
    ) {
        // The machine of the test may lack IPv6.
        let expected = match new_v6() {
            Ok(_) => address.ip(),
            Err(_) => Ipv4Addr::UNSPECIFIED.into(),
        };
        let listener = bind_with(address, new_v6).unwrap();
        let bound = listener.local_addr().unwrap();
        assert_eq!(bound.ip(), expected);
        tokio::spawn(serve(listener, Arc::default()));
        let response = probe(bound.port()).await;
        assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    }

    #[tokio::test]
    async fn address_of_ipv6_is_not_replaced() {
        let new_v6 = || Err(io::ErrorKind::Unsupported.into());
        let error = bind_with("[::1]:8080".parse().unwrap(), new_v6).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("LISTEN_ADDRESS: cannot listen on [::1]:8080"),
            "{text}"
        );
    }

    #[rstest]
    #[case::requests_on_a_kept_connection(PROBE, 3)]
    #[case::bytes_of_an_endless_head(b"GET /", 4)]
    #[tokio::test(start_paused = true)]
    async fn clients_that_keep_every_connection_do_not_block_the_probes(
        #[case] sent: &'static [u8],
        #[case] pause: u64,
    ) {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener, Arc::default()));
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move {
                while stream.write_all(sent).await.is_ok() {
                    sleep(Duration::from_secs(pause)).await;
                }
            });
        }
        // Virtual time.
        let response = timeout(Duration::from_secs(600), probe(port))
            .await
            .unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    }

    async fn get(
        status: &Status,
        path: &str,
        accept: Option<&str>,
    ) -> (StatusCode, String, String) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        let response = response(status, &Method::GET, path, &headers);
        let (parts, body) = response.into_parts();
        let content_type = parts.headers[CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status,
            content_type,
            String::from_utf8(body.into()).unwrap(),
        )
    }

    #[rstest]
    #[case("/", 200, "/metrics")]
    #[case("/healthz", 200, "ok")]
    #[case("/favicon.ico", 404, "not found")]
    #[tokio::test]
    async fn paths(#[case] path: &str, #[case] code: u16, #[case] part: &str) {
        let (found, content_type, body) = get(&Status::default(), path, None).await;
        assert_eq!((found.as_u16(), content_type.as_str()), (code, TEXT));
        assert!(body.contains(part), "{body}");
    }

    #[tokio::test]
    async fn readiness_follows_the_status() {
        let status = Status::default();
        let code = async || get(&status, "/readyz", None).await.0.as_u16();
        assert_eq!(code().await, 503);
        status.set_readiness(Readiness::Ready);
        assert_eq!(code().await, 200);
        status.set_readiness(Readiness::Stopping);
        assert_eq!(code().await, 503);
    }

    #[rstest]
    #[case(None, "text/plain; version=0.0.4; charset=utf-8", false)]
    #[case(
        Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        true
    )]
    #[tokio::test]
    async fn format_of_the_metrics_is_negotiated(
        #[case] accept: Option<&str>,
        #[case] expected: &str,
        #[case] ends: bool,
    ) {
        let (code, content_type, body) = get(&Status::default(), "/metrics", accept).await;
        assert_eq!((code, content_type.as_str()), (StatusCode::OK, expected));
        assert!(body.contains("rebalancer_leader 0.0"), "{body}");
        assert_eq!(body.ends_with("# EOF\n"), ends, "{body}");
    }

    #[test]
    fn other_methods_are_refused() {
        let headers = HeaderMap::new();
        let response = response(&Status::default(), &Method::POST, "/metrics", &headers);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }
}
