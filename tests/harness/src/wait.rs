//! Waiting for a condition, with a deadline and the last observed state.

use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The result of one check of a condition.
pub enum Look<T> {
    /// The condition holds.
    Done(T),
    /// The condition does not hold yet; the observed state.
    Not(String),
}

/// Checks a condition until it holds or the deadline has passed.
///
/// An error of a check ends the wait: the servers are local, so an error is a mistake of the test
/// and would only be repeated.
///
/// # Errors
/// The error of a check, or a timeout with the last observed state.
pub async fn until<T>(
    what: impl Into<String>,
    deadline: Duration,
    pause: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        let looked = Instant::now();
        let seen = look().await?;
        // Checks that read thousands of pods would otherwise slow down the servers that they wait
        // for.
        let pause = pause.max(looked.elapsed() * 4);
        match seen {
            Look::Done(value) => return Ok(value),
            Look::Not(last) if started.elapsed() >= deadline => {
                return Err(Error::Timeout {
                    what: what.into(),
                    after: deadline,
                    last,
                });
            }
            Look::Not(_) => tokio::time::sleep(pause).await,
        }
    }
}
