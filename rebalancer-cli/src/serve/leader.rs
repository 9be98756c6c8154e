//! The election of the leader, the process that runs, by a Lease.
//!
//! Election saves needless work: of several processes, one runs. Safety does not depend on it. A
//! run holds the Lease of its workload while it acts, unless `ONE_AT_A_TIME` is off, whichever
//! process it is in, so a run that a former leader has not finished excludes those of the new one.

use std::time::Duration;

use rebalancer_core::lease;
use rebalancer_core::ports::{LeaseState, PortError, PortErrorKind, RunLease};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use crate::error::log_causes;

/// The time between two renewals of the Lease.
const RENEW: Duration = Duration::from_secs(15);
/// The time between two attempts to take the Lease, or to repeat a failed request.
const RETRY: Duration = Duration::from_secs(5);

/// Whether this process is the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// The API server has not answered, or not for so long that the Lease may have expired.
    Unknown,
    /// This process is the leader.
    Leader,
    /// Another process is the leader.
    Standby,
}

/// Takes the Lease when it is free, and renews it. Never returns. Reports each change.
///
/// `reconnect` builds the client of the Lease again. It is called before the Lease is taken, if the
/// request before failed: the certificates that the client read may have been replaced since.
pub(crate) async fn elect<L: RunLease>(
    lease: &mut L,
    reconnect: impl AsyncFn(&mut L) -> Result<(), PortError>,
    leadership: &watch::Sender<Leadership>,
) {
    let mut election = Election {
        leadership,
        renewed: None,
        problem: None,
    };
    loop {
        // The Lease lasts from the request, not from the response.
        let asked = Instant::now();
        let request = async {
            if election.renewed.is_some() {
                return lease.renew().await;
            }
            if election.problem.is_some() {
                reconnect(lease).await?;
            }
            lease.acquire().await
        };
        // A request that is given up may have taken effect; the lease knows that.
        let answer = timeout_at(election.expiry(asked), request).await;
        let next = election.answered(asked, answer.unwrap_or_else(|_| Err(no_answer())));
        sleep_until(next.min(election.expiry(next))).await;
    }
}

/// The error of a request that was not answered before the Lease expired.
fn no_answer() -> PortError {
    let message = format!(
        "the API server has not answered within {} s",
        lease::DURATION.as_secs()
    );
    PortError::new(PortErrorKind::Timeout, message)
}

struct Election<'a> {
    leadership: &'a watch::Sender<Leadership>,
    /// The time of the last renewal; `None` if this process does not hold the Lease.
    renewed: Option<Instant>,
    /// The last failure, which is logged once; `None` after an answer.
    problem: Option<String>,
}

impl Election<'_> {
    /// The time at which the Lease expires: the one that this process holds, or one that it takes
    /// now.
    fn expiry(&self, now: Instant) -> Instant {
        self.renewed.unwrap_or(now) + lease::DURATION
    }

    /// Takes the answer to a request. Returns the time of the next one.
    fn answered(&mut self, asked: Instant, answer: Result<LeaseState, PortError>) -> Instant {
        match answer {
            Ok(LeaseState::Held) => {
                self.problem = None;
                self.renewed = Some(asked);
                if self.becomes(Leadership::Leader) {
                    info!("this process is the leader");
                }
                return asked + RENEW;
            }
            Ok(LeaseState::HeldBy(holder)) => {
                self.problem = None;
                self.renewed = None;
                if self.becomes(Leadership::Standby) {
                    info!(leader = holder.identity, "another process is the leader");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if self.problem.as_ref() != Some(&text) {
                    warn!("the Lease of the leader could not be taken or renewed: {text}");
                    log_causes(&error);
                    self.problem = Some(text);
                }
                let is_kept = self.renewed.is_some() && Instant::now() < self.expiry(asked);
                if !is_kept {
                    self.renewed = None;
                    if self.becomes(Leadership::Unknown) {
                        warn!("this process is no leader until the Kubernetes API answers");
                    }
                }
            }
        }
        Instant::now() + RETRY
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use rebalancer_core::hold_record::HoldRecord;
    use rebalancer_core::lease::LeaseHolder;
    use rebalancer_core::model::Seconds;
    use tokio::time::sleep;

    use super::*;

    type Answer = Result<LeaseState, PortError>;

    /// Makes an answer; `None` if there is none, as of a server that hangs.
    type Scripted = fn() -> Option<Answer>;

    /// A Lease that answers as it is set to.
    struct Answers(Arc<Mutex<Scripted>>);

    fn held() -> Option<Answer> {
        Some(Ok(LeaseState::Held))
    }

    fn held_by_another() -> Option<Answer> {
        Some(Ok(LeaseState::HeldBy(LeaseHolder {
            identity: "other".into(),
            expires_seconds: Seconds::whole(30),
        })))
    }

    fn fails() -> Option<Answer> {
        Some(Err(PortError::new(PortErrorKind::Timeout, "no response")))
    }

    fn hangs() -> Option<Answer> {
        None
    }

    impl Answers {
        async fn answer(&self) -> Answer {
            let answer = self.0.lock().unwrap()();
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    }

    #[async_trait]
    impl RunLease for Answers {
        async fn acquire(&self) -> Answer {
            self.answer().await
        }

        async fn renew(&self) -> Answer {
            self.answer().await
        }

        async fn release(&self) -> Result<(), PortError> {
            Ok(())
        }

        fn last_hold(&self) -> Option<HoldRecord> {
            None
        }

        fn record_hold(&self, _: Option<HoldRecord>) {}
    }

    /// Executes the script beside an election. The script sets the answers of the Lease.
    async fn during_election(
        script: impl AsyncFnOnce(&dyn Fn(Scripted), watch::Receiver<Leadership>),
        reconnect: impl AsyncFn(&mut Answers) -> Result<(), PortError>,
    ) {
        let answers = Arc::new(Mutex::new(fails as Scripted));
        let mut lease = Answers(Arc::clone(&answers));
        let (sender, leadership) = watch::channel(Leadership::Unknown);
        let set = |answer| *answers.lock().unwrap() = answer;
        tokio::select! {
            () = elect(&mut lease, reconnect, &sender) => unreachable!("it does not end"),
            () = script(&set, leadership) => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn leadership_follows_the_lease() {
        let script = async |set: &dyn Fn(Scripted), leadership: watch::Receiver<_>| {
            let after = async |seconds| {
                sleep(Duration::from_secs(seconds)).await;
                *leadership.borrow()
            };
            assert_eq!(after(60).await, Leadership::Unknown);
            set(held_by_another);
            assert_eq!(after(6).await, Leadership::Standby);
            set(held);
            assert_eq!(after(6).await, Leadership::Leader);
            // The Lease outlasts failures of less than its duration.
            set(fails);
            assert_eq!(after(70).await, Leadership::Leader);
            assert_eq!(after(30).await, Leadership::Unknown);
            set(held);
            assert_eq!(after(6).await, Leadership::Leader);
            // Another process took it.
            set(held_by_another);
            assert_eq!(after(16).await, Leadership::Standby);
        };
        during_election(script, async |_| Ok(())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_with_the_lease_although_a_request_hangs() {
        let script = async |set: &dyn Fn(Scripted), mut leadership: watch::Receiver<_>| {
            for answer in [hangs, fails] {
                set(held);
                leadership
                    .wait_for(|now| *now == Leadership::Leader)
                    .await
                    .unwrap();
                let begun = Instant::now();
                set(answer);
                leadership
                    .wait_for(|now| *now == Leadership::Unknown)
                    .await
                    .unwrap();
                // Virtual time.
                assert_eq!(begun.elapsed().as_secs(), lease::DURATION.as_secs());
            }
        };
        during_election(script, async |_| Ok(())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn client_is_built_again_before_the_lease_is_taken_after_a_failure() {
        let built = AtomicUsize::new(0);
        let number = || built.load(Ordering::Relaxed);
        let reconnect = async |_: &mut Answers| {
            built.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let script = async |set: &dyn Fn(Scripted), leadership: watch::Receiver<_>| {
            let after = async |seconds| {
                sleep(Duration::from_secs(seconds)).await;
                *leadership.borrow()
            };
            assert_eq!(after(1).await, Leadership::Unknown);
            assert_eq!(number(), 0);
            assert_eq!(after(5).await, Leadership::Unknown);
            assert_eq!(number(), 1);
            set(held);
            assert_eq!(after(5).await, Leadership::Leader);
            assert_eq!(number(), 2);
            // A leader keeps its client: the time in its renewals is known from earlier responses.
            set(fails);
            assert_eq!(after(80).await, Leadership::Leader);
            assert_eq!(number(), 2);
            assert_eq!(after(20).await, Leadership::Unknown);
            assert!(number() > 2);
        };
        during_election(script, reconnect).await;
    }
}
