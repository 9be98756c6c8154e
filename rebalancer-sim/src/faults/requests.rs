//! Requests on their way: they take effect when they arrive, whether or not anybody waits for
//! the answer any more.

use std::time::Duration;

use rebalancer_core::history::Rotation;
use rebalancer_core::ports::{EvictionAnswer, JournalEntry, LeaseState};

use crate::state::State;

/// What is on its way.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// The eviction of this place among the traced ones, and whether it is a dry run.
    Evict(usize),
    /// A lease of this identity, asked for then.
    Acquire(String, Duration),
    Renew(String, Duration),
    Release(String),
    Publish(JournalEntry),
    Remember(Rotation),
}

/// What the server says to a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Eviction(EvictionAnswer),
    Lease(LeaseState),
    Done,
}

/// All requests so far, by number.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    all: Vec<(Request, Option<Answer>)>,
}

impl Requests {
    /// The number of a new one.
    pub(crate) fn add(&mut self, request: Request) -> usize {
        self.all.push((request, None));
        self.all.len() - 1
    }

    /// What the server said to it; `None` while it has not arrived.
    pub(crate) fn answer(&self, number: usize) -> Option<Answer> {
        self.all.get(number)?.1.clone()
    }
}

impl State {
    /// The request takes effect.
    pub(crate) fn arrive(&mut self, number: usize) {
        let Some((request, _)) = self.requests.all.get(number) else {
            return;
        };
        let answer = match request.clone() {
            Request::Evict(place) => match self.asked.get(place) {
                Some(asked) => {
                    let (pod, dry_run) = (asked.pod.clone(), asked.dry_run);
                    Answer::Eviction(self.evict_traced(place, &pod, dry_run))
                }
                None => Answer::Done,
            },
            Request::Acquire(identity, begun) => {
                Answer::Lease(self.acquire_lease(&identity, begun))
            }
            Request::Renew(identity, begun) => Answer::Lease(self.renew_lease(&identity, begun)),
            Request::Release(identity) => {
                self.release_lease(&identity);
                Answer::Done
            }
            Request::Publish(entry) => {
                self.published.push(entry);
                Answer::Done
            }
            Request::Remember(rotation) => {
                self.remember(rotation);
                Answer::Done
            }
        };
        if let Some((_, slot)) = self.requests.all.get_mut(number) {
            *slot = Some(answer);
        }
    }
}
