//! Waiting for a state, with a deadline and the last thing seen.

use std::time::{Duration, Instant};

use crate::{Error, Result};

/// What one look at the awaited thing found.
pub enum Look<T> {
    /// It is there.
    Done(T),
    /// Not yet; what was seen instead.
    Not(String),
}

/// Looks until the thing is there or the deadline has passed.
///
/// An error of a look ends the waiting: the servers are local, so that a refused
/// request is a mistake of the test and would only be repeated.
///
/// # Errors
/// That of a look, or what was seen last when the deadline has passed.
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
        // A look at thousands of pods would otherwise slow down what it waits for.
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
