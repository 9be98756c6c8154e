//! Soak test: the real driver in many simulated worlds with faults.
//!
//! A scenario is drawn from a seed: pods, traffic, budget, policy, faults
//! ([`rebalancer_sim::faults`]), and when runs begin, are stopped or killed. The runs take place in
//! virtual time. Afterwards everything that they observed and did is checked against the rules in
//! `check.rs` and `hand_over.rs`. The same seed gives the same world, so a violation is reproduced
//! by its seed:
//!
//! ```no_run
//! # fn case() -> Result<(), soak::Violation> {
//! soak::run_world(42)?;
//! # Ok(())
//! # }
//! ```

mod broken;
mod check;
mod draw;
mod hand_over;
mod run;
mod tally;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use tally::Tally;

/// Features of the driver. A missing feature is neither drawn nor checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// The driver takes the lease before it observes, renews it, and holds with `another_run` while
    /// another run has it. Several runs may overlap, and a run may begin right after another one
    /// died.
    pub lease: bool,
    /// The driver plans no more than `MAX_EVICTIONS`.
    pub max_evictions: bool,
    /// The driver holds in a freeze window.
    pub freeze: bool,
    /// The driver hands out assignments.
    pub assign: bool,
    /// The driver lets plans wait for approval.
    pub approval: bool,
}

/// The features of the current driver.
pub const ABILITIES: Abilities = Abilities {
    lease: true,
    max_evictions: true,
    freeze: true,
    assign: true,
    approval: true,
};

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The seed of the world; [`run_world`] reproduces the violation.
    pub seed: u64,
    /// The name of the rule.
    pub rule: &'static str,
    /// The details.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, rule, detail } = self;
        write!(
            f,
            "{rule}: {detail} (replay: cargo xtask soak --worlds 1 --seed {seed})"
        )
    }
}

impl std::error::Error for Violation {}

/// Runs the world of a seed.
///
/// # Errors
/// The first rule that was broken.
pub fn run_world(seed: u64) -> Result<Tally, Violation> {
    run_world_with(seed, ABILITIES)
}

/// Runs the world of a seed with a driver that has the given features.
///
/// # Errors
/// The first rule that was broken.
pub fn run_world_with(seed: u64, abilities: Abilities) -> Result<Tally, Violation> {
    let broken = |(rule, detail)| Violation { seed, rule, detail };
    let world = || {
        let scenario = draw::scenario(seed, abilities);
        let story = run::play(&scenario)?;
        check::check(&scenario, &story)?;
        Ok(tally::of(&scenario, &story))
    };
    // A panic is reported with its seed. Nothing of the world is used afterwards.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(world))
        .unwrap_or_else(|_| Err(("nothing panics", "see its message above".into())))
        .map_err(broken)
}

/// The result of a soak.
#[derive(Debug, Clone, Default)]
pub struct Soak {
    /// The number of completed worlds.
    pub worlds: u64,
    /// The elapsed time.
    pub took: Duration,
    /// Counts of the events in the worlds.
    pub tally: Tally,
    /// The violation with the lowest seed among those found. The soak ends with the first one.
    pub violation: Option<Violation>,
}

impl Soak {
    /// Adds the result of another soak.
    pub fn add(&mut self, further: Self) {
        self.worlds += further.worlds;
        self.took += further.took;
        self.tally.add(&further.tally);
        if self.violation.is_none() {
            self.violation = further.violation;
        }
    }

    /// Worlds per second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for a person")]
    pub fn speed(&self) -> f64 {
        self.worlds as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

/// Runs `worlds` worlds with consecutive seeds from `first_seed`, on `threads` threads.
#[must_use]
pub fn soak(worlds: u64, first_seed: u64, threads: NonZeroUsize) -> Soak {
    soak_with(worlds, first_seed, threads, ABILITIES)
}

/// As [`soak`], with a driver that has the given features.
#[must_use]
pub fn soak_with(
    worlds: u64,
    first_seed: u64,
    threads: NonZeroUsize,
    abilities: Abilities,
) -> Soak {
    /// The number of seeds that a thread takes at a time.
    const BATCH: u64 = 64;
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let found: Mutex<(u64, Tally, Option<Violation>)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                let (mut done, mut tally, mut violation) = (0, Tally::default(), None);
                'batches: while !over.load(Ordering::Relaxed) {
                    let from = next.fetch_add(BATCH, Ordering::Relaxed);
                    if from >= worlds {
                        break;
                    }
                    for number in from..worlds.min(from.saturating_add(BATCH)) {
                        match run_world_with(first_seed.wrapping_add(number), abilities) {
                            Ok(of_world) => {
                                tally.add(&of_world);
                                done += 1;
                            }
                            Err(broken) => {
                                over.store(true, Ordering::Relaxed);
                                violation = Some(broken);
                                break 'batches;
                            }
                        }
                    }
                }
                let mut found = found
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                found.0 += done;
                found.1.add(&tally);
                let first = found.2.take();
                found.2 = first
                    .into_iter()
                    .chain(violation)
                    .min_by_key(|violation| violation.seed.wrapping_sub(first_seed));
            });
        }
    });
    let (worlds, tally, violation) = found
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Soak {
        worlds,
        took: began.elapsed(),
        tally,
        violation,
    }
}
