//! The election of the process that runs, by a Lease.
//!
//! Election saves needless work: of several processes, one runs. Safety does not depend on it. A run
//! holds the Lease of its workload while it acts, whichever process it is in, so a run that a former
//! leader has not finished excludes those of the new one.

use std::time::Duration;

use rebalancer_core::lease;
use rebalancer_core::ports::{LeaseState, PortError, RunLease};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::error::log_causes;

/// The time between two renewals of the Lease.
const RENEW: Duration = Duration::from_secs(15);
/// The time between two attempts to take the Lease, or to repeat a failed request.
const RETRY: Duration = Duration::from_secs(5);

/// Whether this process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// The API server has not answered, or not for so long that the Lease may have expired.
    Unknown,
    /// This process is the leader.
    Leader,
    /// Another process is the leader.
    Standby,
}

/// Takes the Lease when it is free, and keeps it; for ever. Reports each change.
pub(crate) async fn elect(lease: &dyn RunLease, leadership: &watch::Sender<Leadership>) {
    let mut election = Election {
        leadership,
        renewed: None,
        problem: None,
    };
    loop {
        // The Lease lasts from the request, not from the response.
        let asked = Instant::now();
        let answer = match election.renewed {
            Some(_) => lease.renew().await,
            None => lease.acquire().await,
        };
        sleep(election.answered(asked, answer)).await;
    }
}

struct Election<'a> {
    leadership: &'a watch::Sender<Leadership>,
    /// The time of the last renewal; `None` if this process does not hold the Lease.
    renewed: Option<Instant>,
    /// The last failure, which is logged once.
    problem: Option<String>,
}

impl Election<'_> {
    /// Takes the answer to a request. Returns the time until the next one.
    fn answered(&mut self, asked: Instant, answer: Result<LeaseState, PortError>) -> Duration {
        match answer {
            Ok(LeaseState::Held) => {
                self.problem = None;
                self.renewed = Some(asked);
                if self.becomes(Leadership::Leader) {
                    info!("this process is the leader");
                }
                RENEW
            }
            Ok(LeaseState::HeldBy(holder)) => {
                self.problem = None;
                self.renewed = None;
                if self.becomes(Leadership::Standby) {
                    info!(leader = holder.identity, "another process is the leader");
                }
                RETRY
            }
            Err(error) => {
                let text = error.to_string();
                if self.problem.as_ref() != Some(&text) {
                    warn!("the Lease of the leader could not be taken or renewed: {text}");
                    log_causes(&error);
                    self.problem = Some(text);
                }
                let is_kept = self
                    .renewed
                    .is_some_and(|renewed| renewed.elapsed() < lease::DURATION);
                if !is_kept {
                    self.renewed = None;
                    if self.becomes(Leadership::Unknown) {
                        warn!("this process is no leader until the Kubernetes API answers");
                    }
                }
                RETRY
            }
        }
    }

    fn becomes(&self, new: Leadership) -> bool {
        self.leadership.send_if_modified(|leadership| {
            let is_new = *leadership != new;
            *leadership = new;
            is_new
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use rebalancer_core::hold_record::HoldRecord;
    use rebalancer_core::lease::LeaseHolder;
    use rebalancer_core::model::Seconds;
    use rebalancer_core::ports::PortErrorKind;

    use super::*;

    /// A Lease that answers as it is set to.
    struct Answers(Mutex<fn() -> Result<LeaseState, PortError>>);

    fn held() -> Result<LeaseState, PortError> {
        Ok(LeaseState::Held)
    }

    fn held_by_another() -> Result<LeaseState, PortError> {
        Ok(LeaseState::HeldBy(LeaseHolder {
            identity: "other".into(),
            expires_seconds: Seconds::whole(30),
        }))
    }

    fn fails() -> Result<LeaseState, PortError> {
        Err(PortError::new(PortErrorKind::Timeout, "no response"))
    }

    impl Answers {
        fn set(&self, answer: fn() -> Result<LeaseState, PortError>) {
            *self.0.lock().unwrap() = answer;
        }
    }

    #[async_trait]
    impl RunLease for Answers {
        async fn acquire(&self) -> Result<LeaseState, PortError> {
            self.0.lock().unwrap()()
        }

        async fn renew(&self) -> Result<LeaseState, PortError> {
            self.0.lock().unwrap()()
        }

        async fn release(&self) -> Result<(), PortError> {
            Ok(())
        }

        fn last_hold(&self) -> Option<HoldRecord> {
            None
        }

        fn record_hold(&self, _: Option<HoldRecord>) {}
    }

    #[tokio::test(start_paused = true)]
    async fn leadership_follows_the_lease() {
        let lease = Answers(Mutex::new(fails));
        let (sender, leadership) = watch::channel(Leadership::Unknown);
        let script = async {
            let after = async |seconds| {
                sleep(Duration::from_secs(seconds)).await;
                *leadership.borrow()
            };
            assert_eq!(after(60).await, Leadership::Unknown);
            lease.set(held_by_another);
            assert_eq!(after(6).await, Leadership::Standby);
            lease.set(held);
            assert_eq!(after(6).await, Leadership::Leader);
            // The Lease outlasts failures of less than its duration.
            lease.set(fails);
            assert_eq!(after(70).await, Leadership::Leader);
            assert_eq!(after(30).await, Leadership::Unknown);
            lease.set(held);
            assert_eq!(after(6).await, Leadership::Leader);
            // Another process took it.
            lease.set(held_by_another);
            assert_eq!(after(16).await, Leadership::Standby);
        };
        tokio::select! {
            () = elect(&lease, &sender) => unreachable!("the election does not end"),
            () = script => {}
        }
    }
}
