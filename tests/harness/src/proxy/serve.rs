//! The connections of a proxy. Each call is recorded, then relayed or broken by the rules.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use super::call::{CONNECT, Call};
use super::fault::{Canned, Fault, Turn};
use super::relay::{Answer, Upstream, Wire, half_close, reset, until_closed};
use crate::http::{Request, read_request};

/// A recorded call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `get deployments`, `list pods`, `create pods/eviction`, `query load`, …; a page after the
    /// first is `list pods, continued`, and a connection is [`CONNECT`].
    pub call: String,
    /// The object's name, or empty.
    pub object: String,
    /// The request path with its query, as the program sent it.
    pub target: String,
    /// The injected fault.
    pub fault: Option<Fault>,
    /// Whether the real server received the call.
    pub forwarded: bool,
    /// The status of the response: the real server's, or that of the canned response.
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

pub(super) struct Rule {
    pub(super) call: String,
    pub(super) turn: Turn,
    pub(super) fault: Fault,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) rules: Vec<Rule>,
    pub(super) seen: Vec<Seen>,
    pub(super) refused_tokens: Vec<String>,
    pub(super) page_size: Option<u32>,
}

pub(super) struct Relay {
    pub(super) upstream: Upstream,
    pub(super) state: Mutex<State>,
}

impl Relay {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call. Returns its index and the fault that applies to it.
    fn see(&self, call: Call, request: &Request) -> (usize, Option<Fault>) {
        let mut state = self.state();
        let number = 1 + state
            .seen
            .iter()
            .filter(|seen| seen.call == call.name)
            .count();
        let configured = state
            .rules
            .iter()
            .find(|rule| rule.call == call.name && rule.turn.is(number))
            .map(|rule| rule.fault.clone());
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let refused = token.is_some_and(|token| state.refused_tokens.iter().any(|t| t == token));
        let fault = configured.or_else(|| {
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

    pub(super) async fn connection(
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
                // The data that the program sent stays unread.
                return std::future::pending().await;
            }
            Some(Fault::Latency(delay)) => tokio::time::sleep(delay).await,
            // No request has arrived yet.
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
            // No server listened at the address.
            Err(error) => seen.forwarded = error.kind() != std::io::ErrorKind::ConnectionRefused,
        });
        answer
    }
}

/// Replaces the value of `limit` in a path, if it has one.
fn with_limit(path: &str, objects: u32) -> String {
    let Some((before, rest)) = path.split_once("limit=") else {
        return path.to_owned();
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}limit={objects}{rest}")
}
