//! Virtual time in which several things go on at once.
//!
//! [`SimClock`](crate::SimClock) lets time pass as soon as somebody sleeps, which is all that one
//! run without latencies needs. Here a sleep is a timer: the future is polled until nothing in it
//! can go on, then the world advances to the next timer, and only that one ends. So two runs, a
//! stop and the world itself interleave, in the order of their instants, and the same way each
//! time.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::world::SimWorld;

/// Runs futures under the time of a [`SimWorld`]. Clones share their timers.
#[derive(Debug, Clone)]
pub struct VirtualTime {
    world: SimWorld,
    timers: Arc<Mutex<Timers>>,
}

/// The instant of a timer, and its number among those of the same instant.
type Key = (Duration, u64);

#[derive(Debug, Default)]
struct Timers {
    waiting: BTreeSet<Key>,
    made: u64,
}

/// How long a future may go on.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// Timers that may end meanwhile.
    pub steps: usize,
    /// Virtual time that may pass.
    pub time: Duration,
}

/// A future that did not end within its [`RunLimits`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFinished {
    /// It waits for what nobody will do.
    #[error("it waits for ever, after {steps} steps and {elapsed:?}")]
    Stuck {
        /// Timers that had ended.
        steps: usize,
        /// The time that had passed.
        elapsed: Duration,
    },
    /// It takes too many steps.
    #[error("it had not ended after {steps} steps and {elapsed:?}")]
    Steps {
        /// Timers that had ended.
        steps: usize,
        /// The time that had passed.
        elapsed: Duration,
    },
    /// It takes too long.
    #[error("it had not ended after {elapsed:?} and {steps} steps")]
    Time {
        /// Timers that had ended.
        steps: usize,
        /// The time that had passed.
        elapsed: Duration,
    },
}

/// Whether anything asked to be polled again.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl VirtualTime {
    /// The time of this world.
    #[must_use]
    pub fn new(world: SimWorld) -> Self {
        Self {
            world,
            timers: Arc::default(),
        }
    }

    /// The time that has passed since the world was handed over.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world.elapsed()
    }

    /// Ends after `duration`. A sleep that is dropped first takes no time.
    #[must_use]
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep {
            time: self.clone(),
            duration,
            key: None,
        }
    }

    /// Runs a future to its end.
    ///
    /// # Errors
    /// [`NotFinished`] when it does not come to one.
    pub fn run<F: Future>(&self, future: F, bounds: RunLimits) -> Result<F::Output, NotFinished> {
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
            let next = self.timers().waiting.pop_first();
            let elapsed = self.elapsed().saturating_sub(began);
            let Some((at, _)) = next else {
                return Err(NotFinished::Stuck { steps, elapsed });
            };
            steps += 1;
            if steps > bounds.steps {
                return Err(NotFinished::Steps { steps, elapsed });
            }
            if at.saturating_sub(began) > bounds.time {
                return Err(NotFinished::Time { steps, elapsed });
            }
            self.world.advance(at.saturating_sub(self.elapsed()));
        }
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A timer, see [`VirtualTime::sleep`]. Even one of no length lets others go on first, so that no
/// order of polling decides what happens.
#[derive(Debug)]
pub struct Sleep {
    time: VirtualTime,
    duration: Duration,
    key: Option<Key>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let over = match self.key {
            Some(key) => !self.time.timers().waiting.contains(&key),
            None => {
                let at = self.time.elapsed().saturating_add(self.duration);
                let key = {
                    let mut timers = self.time.timers();
                    let key = (at, timers.made);
                    timers.made += 1;
                    timers.waiting.insert(key);
                    key
                };
                self.key = Some(key);
                false
            }
        };
        if over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.time.timers().waiting.remove(&key);
        }
    }
}
