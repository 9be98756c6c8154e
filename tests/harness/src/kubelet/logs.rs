//! The kubelet's endpoint for logs, which the API server calls for `kubectl logs`.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use crate::{
    Error, Result,
    container::Containers,
    http::{read_request, reason},
    tls::SelfSigned,
};

/// The time between two looks at a log that is followed.
const INTERVAL: Duration = Duration::from_millis(100);

/// Serves the logs of the containers on the current runtime. Returns the port on 127.0.0.1.
pub(super) async fn serve(containers: Containers) -> Result<u16> {
    let acceptor = SelfSigned::issue("the kubelet")?.acceptor;
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(Error::io("listen on 127.0.0.1"))?;
    let address = listener
        .local_addr()
        .map_err(Error::io("read the address listened on"))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, containers) = (acceptor.clone(), containers.clone());
            // A client that disconnects is not an error of the kubelet.
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.ok()?;
                answer(stream, &containers).await.ok()
            });
        }
    });
    Ok(address.port())
}

/// Answers `GET /containerLogs/NAMESPACE/POD/CONTAINER`, with `?follow=true` until the container
/// ends.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    containers: &Containers,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read_request(&mut stream).await?;
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let follows = query.split('&').any(|parameter| parameter == "follow=true");
    let pod = path.strip_prefix("/containerLogs/");
    let pod = pod.and_then(|path| Some(path.rsplit_once('/')?.0));
    let Some((pod, mut log)) = pod.and_then(|pod| Some((pod, containers.log(pod)?))) else {
        let text = "only the containers of the program under test have logs";
        stream.write_all(head(404).as_bytes()).await?;
        stream.write_all(text.as_bytes()).await?;
        return stream.shutdown().await;
    };
    stream.write_all(head(200).as_bytes()).await?;
    let mut sent = 0;
    loop {
        let new = log.text.get(sent..).unwrap_or_default();
        stream.write_all(new.as_bytes()).await?;
        stream.flush().await?;
        sent += new.len();
        if log.is_complete || !follows {
            return stream.shutdown().await;
        }
        tokio::time::sleep(INTERVAL).await;
        // The log of a pod is never removed.
        log = containers.log(pod).unwrap_or(log);
    }
}

/// The head of a response that ends with its connection.
fn head(status: u16) -> String {
    let reason = reason(status);
    format!("HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
}
