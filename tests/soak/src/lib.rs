//! Faults, by the million: the real driver over simulated worlds in which anything may go wrong.
//!
//! A world is drawn from one number: its pods, traffic, budget, the operator's rules, what goes
//! wrong ([`rebalancer_sim::faults`]), when runs begin, are stopped or killed. The runs go on
//! under virtual time, and afterwards everything they were told and did is held against the rules
//! (`soak/check.rs`). The same number gives the same world, so a violation is replayed by its seed:
//!
//! ```no_run
//! # fn case() -> Result<(), soak::Violation> {
//! soak::run_world(42)?;
//! # Ok(())
//! # }
//! ```

mod check;
mod draw;
mod run;
mod tally;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use tally::Tally;

/// What the driver can do by now. What it cannot is not drawn, and not looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// It takes the lease before it observes, renews it, and holds with `another_run` while
    /// another has it: several runs may overlap, and one may begin right after another died.
    pub lease: bool,
    /// It plans no more than `MAX_EVICTIONS`.
    pub max_evictions: bool,
    /// It holds in a freeze window.
    pub freeze: bool,
}

/// What the driver can do at present.
pub const ABILITIES: Abilities = Abilities {
    lease: true,
    max_evictions: true,
    freeze: true,
};

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The world: [`run_world`] of it shows it again.
    pub seed: u64,
    /// The rule.
    pub rule: &'static str,
    /// How it was broken.
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

/// Runs one world.
///
/// # Errors
/// [`Violation`] is the first rule that was broken.
pub fn run_world(seed: u64) -> Result<Tally, Violation> {
    run_world_with(seed, ABILITIES)
}

/// Runs one world with a driver of these abilities.
///
/// # Errors
/// [`Violation`] is the first rule that was broken.
pub fn run_world_with(seed: u64, abilities: Abilities) -> Result<Tally, Violation> {
    let broken = |(rule, detail)| Violation { seed, rule, detail };
    let world = || {
        let scenario = draw::scenario(seed, abilities);
        let story = run::play(&scenario)?;
        check::check(&scenario, &story)?;
        Ok(tally::of(&scenario, &story))
    };
    // So that a panic is told with its seed; nothing of the world outlives it.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(world))
        .unwrap_or_else(|_| Err(("nothing panics", "see its message above".into())))
        .map_err(broken)
}

/// Everything a soak came to.
#[derive(Debug, Clone, Default)]
pub struct Soak {
    /// Worlds that were run to their end.
    pub worlds: u64,
    /// How long it took.
    pub took: Duration,
    /// What went on in them.
    pub tally: Tally,
    /// The violation of the lowest seed among those found; the soak ends with the first.
    pub violation: Option<Violation>,
}

impl Soak {
    /// Adds a further soak to this one.
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

/// Runs `worlds` worlds, of the seeds from `first_seed` on, on this many threads.
#[must_use]
pub fn soak(worlds: u64, first_seed: u64, threads: NonZeroUsize) -> Soak {
    soak_with(worlds, first_seed, threads, ABILITIES)
}

/// The same with a driver of these abilities.
#[must_use]
pub fn soak_with(
    worlds: u64,
    first_seed: u64,
    threads: NonZeroUsize,
    abilities: Abilities,
) -> Soak {
    /// Seeds that a thread takes at once.
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
