//! Requests in transit. A request takes effect when it arrives, even if its client has given up.

use std::time::Duration;

use rebalancer_core::history::Rotation;
use rebalancer_core::ports::{EvictionAnswer, JournalEntry, LeaseState};
use rebalancer_core::proposal::ProposedPlan;

use super::State;

/// A request that changes the world.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// An eviction: its index among the eviction requests.
    Evict(usize),
    /// The acquisition of the lease: the identity and the time of the request.
    Acquire(String, Duration),
    /// The renewal of the lease: the identity and the time of the request.
    Renew(String, Duration),
    /// The release of the lease held by this identity.
    Release(String),
    Publish(JournalEntry),
    Remember(Rotation),
    Propose(ProposedPlan),
    /// The use of the approval of the plan with this id.
    UseApproval(String),
}

/// The response of the server to a request.
#[derive(Debug, Clone)]
pub(crate) enum Response {
    Eviction(EvictionAnswer),
    Lease(LeaseState),
    Done,
    /// The server refuses the request.
    Refused,
}

/// All requests so far, by number.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    all: Vec<(Request, Option<Response>)>,
}

impl Requests {
    /// Adds a request and returns its number.
    pub(crate) fn add(&mut self, request: Request) -> usize {
        self.all.push((request, None));
        self.all.len() - 1
    }

    /// The response to a request; `None` until it has arrived.
    pub(crate) fn response(&self, number: usize) -> Option<Response> {
        self.all.get(number)?.1.clone()
    }
}

impl State {
    /// Executes the request of this number.
    pub(crate) fn arrive(&mut self, number: usize) {
        let Some((request, _)) = self.requests.all.get(number) else {
            return;
        };
        let response = match request.clone() {
            Request::Evict(index) => match self.eviction_requests.get(index) {
                Some(eviction) => {
                    let (pod, dry_run) = (eviction.pod.clone(), eviction.dry_run);
                    Response::Eviction(self.evict_traced(index, &pod, dry_run))
                }
                None => Response::Done,
            },
            Request::Acquire(identity, begun) => {
                Response::Lease(self.acquire_lease(&identity, begun))
            }
            Request::Renew(identity, begun) => Response::Lease(self.renew_lease(&identity, begun)),
            Request::Release(identity) => {
                self.release_lease(&identity);
                Response::Done
            }
            Request::Publish(entry) => {
                self.published.push(entry);
                Response::Done
            }
            Request::Remember(rotation) => {
                self.remember(rotation);
                Response::Done
            }
            Request::Propose(plan) => {
                self.propose(plan);
                Response::Done
            }
            Request::UseApproval(id) if self.use_approval(&id) => Response::Done,
            Request::UseApproval(_) => Response::Refused,
        };
        if let Some((_, slot)) = self.requests.all.get_mut(number) {
            *slot = Some(response);
        }
    }
}
