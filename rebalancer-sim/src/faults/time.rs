//! Virtual time for concurrent futures.
//!
//! A sleep of [`SimClock`](crate::SimClock) advances the time immediately, which suffices for one
//! run without latencies. Here a sleep is a timer. The future is polled until it cannot make
//! progress; then the world advances to the next timer, and only that timer fires. Two runs, a stop
//! and the events of the world thus interleave in chronological order, and deterministically.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::world::SimWorld;

/// An executor for futures under the virtual time of a [`SimWorld`]. Clones share their timers.
#[derive(Debug, Clone)]
pub struct VirtualTime {
    world: SimWorld,
    timers: Arc<Mutex<Timers>>,
}

/// The time of a timer, and its number, which orders timers of the same time.
type TimerKey = (Duration, u64);

#[derive(Debug, Default)]
struct Timers {
    waiting: BTreeSet<TimerKey>,
    created: u64,
}

/// The limits for running a future.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// The number of timers that may fire.
    pub steps: usize,
    /// The virtual time that may pass.
    pub time: Duration,
}

/// The failure of a future to complete within its [`RunLimits`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFinished {
    /// The future waits for something other than a timer.
    #[error("the future waits without a timer after {steps} steps and {elapsed:?}")]
    Stuck {
        /// The number of timers that fired.
        steps: usize,
        /// The virtual time that passed.
        elapsed: Duration,
    },
    /// The future exceeded the number of steps.
    #[error("the future did not complete within {steps} steps ({elapsed:?})")]
    Steps {
        /// The number of timers that fired.
        steps: usize,
        /// The virtual time that passed.
        elapsed: Duration,
    },
    /// The future exceeded the virtual time.
    #[error("the future did not complete within {elapsed:?} ({steps} steps)")]
    Time {
        /// The number of timers that fired.
        steps: usize,
        /// The virtual time that passed.
        elapsed: Duration,
    },
}

/// Whether the future asked to be polled again.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl VirtualTime {
    /// The virtual time of this world.
    #[must_use]
    pub fn new(world: SimWorld) -> Self {
        Self {
            world,
            timers: Arc::default(),
        }
    }

    /// The time since the start of the simulation.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world.elapsed()
    }

    /// Returns a future that completes after `duration`. A sleep that is dropped takes no time.
    #[must_use]
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep {
            time: self.clone(),
            duration,
            key: None,
        }
    }

    /// Runs a future to completion.
    ///
    /// # Errors
    /// [`NotFinished`] if the future does not complete within the limits.
    pub fn run<F: Future>(&self, future: F, limits: RunLimits) -> Result<F::Output, NotFinished> {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let began = self.elapsed();
        let mut steps = 0;
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Ok(output);
            }
            if woken.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            let next = self.timers().waiting.first().copied();
            let elapsed = self.elapsed().saturating_sub(began);
            steps += 1;
            if steps > limits.steps {
                return Err(NotFinished::Steps { steps, elapsed });
            }
            // Without a timer, only a response of the group's coordinator can wake the future.
            let at = match next {
                Some((at, _)) => at,
                None if self.world.awaits_coordinator() => began.saturating_add(limits.time),
                None => return Err(NotFinished::Stuck { steps, elapsed }),
            };
            if at.saturating_sub(began) > limits.time {
                return Err(NotFinished::Time { steps, elapsed });
            }
            if self.world.advance_towards(at) {
                let Some(key) = next else {
                    return Err(NotFinished::Stuck { steps, elapsed });
                };
                self.timers().waiting.remove(&key);
            }
        }
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A timer; see [`VirtualTime::sleep`]. Even a sleep of zero length lets other futures make
/// progress first, so that the result does not depend on the order of polling.
#[derive(Debug)]
pub struct Sleep {
    time: VirtualTime,
    duration: Duration,
    key: Option<TimerKey>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let fired = match self.key {
            Some(key) => !self.time.timers().waiting.contains(&key),
            None => {
                let at = self.time.elapsed().saturating_add(self.duration);
                let key = {
                    let mut timers = self.time.timers();
                    let key = (at, timers.created);
                    timers.created += 1;
                    timers.waiting.insert(key);
                    key
                };
                self.key = Some(key);
                false
            }
        };
        if fired {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.time.timers().waiting.remove(&key);
        }
    }
}
