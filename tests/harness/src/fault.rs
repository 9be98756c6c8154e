//! Faulty servers that stand in for Prometheus.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    Result,
    http::{HttpServer, Reply, Request},
    process,
};

/// A server with one scripted behaviour. It records the requests.
#[derive(Debug)]
pub struct FaultServer {
    server: HttpServer,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FaultServer {
    /// Starts a server that gives every request the same reply.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(reply: Reply) -> Result<Self> {
        Self::answering(move |_| reply.clone()).await
    }

    /// Starts a server that computes the reply from the request.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn answering(
        reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&requests);
        let server = HttpServer::start(move |request| {
            let reply = reply(&request);
            memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(request);
            reply
        })
        .await?;
        Ok(Self { server, requests })
    }

    /// Starts a server that answers every request with a status and a JSON body.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn json(status: u16, body: impl Into<String>) -> Result<Self> {
        let content_type = "application/json".to_owned();
        Self::start(Reply::Answer {
            status,
            content_type,
            body: body.into(),
        })
        .await
    }

    /// Starts a server that answers every request with a status and an HTML page, as a proxy or a
    /// login page does.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn html(status: u16, body: impl Into<String>) -> Result<Self> {
        let content_type = "text/html; charset=utf-8".to_owned();
        Self::start(Reply::Answer {
            status,
            content_type,
            body: body.into(),
        })
        .await
    }

    /// Starts a server that accepts every request and never responds.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn stall() -> Result<Self> {
        Self::start(Reply::Stall).await
    }

    /// The URL for the program under test.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The requests received so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Returns a URL at which no server listens.
///
/// # Errors
/// If no port is free.
pub fn refused_url() -> Result<String> {
    Ok(format!("http://127.0.0.1:{}", process::free_port()?))
}
