//! The API server's clock, as the `Date` of its answers tells it.
//!
//! Ages of pods and the end of a lease follow from instants that the cluster wrote. Judged by the
//! local clock they would be wrong by however much that one is off.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use http::{HeaderMap, header};
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

/// A difference above this is worth a warning: it is more than the way of an answer and the whole
/// seconds of a `Date` can make.
const TOLERABLE: SignedDuration = SignedDuration::from_secs(30);

/// What is known of the API server's clock.
#[derive(Default)]
pub(crate) struct ServerClock {
    newest: Mutex<Option<Reading>>,
}

/// A `Date` and when it came.
#[derive(Clone, Copy)]
struct Reading {
    server: Timestamp,
    /// A clock that nobody sets.
    at: Instant,
    warned: bool,
}

impl Reading {
    /// What the server's clock shows at an instant of ours.
    fn after(&self, now: Instant) -> Timestamp {
        let passed = now.saturating_duration_since(self.at);
        self.server.checked_add(passed).unwrap_or(Timestamp::MAX)
    }
}

impl ServerClock {
    /// Reads the `Date` of an answer, where it has one.
    pub(crate) fn learn(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|value| {
            let date = value.to_str().ok()?;
            rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
        });
        if let Some(server) = date {
            self.set(server, Timestamp::now());
        }
    }

    fn set(&self, server: Timestamp, local: Timestamp) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let off = local.duration_since(server);
        if newest.is_none() {
            tracing::debug!(
                local_ahead_seconds = off.as_secs_f64(),
                "clock of the API server"
            );
        }
        let mut warned = newest.is_some_and(|reading| reading.warned);
        if off.abs() > TOLERABLE && !warned {
            tracing::warn!(
                local_ahead_seconds = off.as_secs(),
                "the local clock differs from the API server's, by which pods are judged; set one \
                 of them right"
            );
            warned = true;
        }
        let at = Instant::now();
        let known = newest.filter(|reading| {
            let ahead = reading.after(at).duration_since(server);
            // A `Date` has whole seconds: what it leaves out is known better already.
            (SignedDuration::ZERO..SignedDuration::from_secs(1)).contains(&ahead)
        });
        *newest = Some(match known {
            Some(known) => Reading { warned, ..known },
            None => Reading { server, at, warned },
        });
    }

    /// The present instant; by the local clock as long as no answer told another.
    pub(crate) fn now(&self) -> Timestamp {
        let newest = *self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.map_or_else(Timestamp::now, |reading| reading.after(Instant::now()))
    }
}

/// An instant in the form of the API's `MicroTime`, which wants exactly six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct MicroTime(pub(crate) Timestamp);

impl Serialize for MicroTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use rstest::rstest;

    fn learnt(date: &'static str) -> ServerClock {
        let clock = ServerClock::default();
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, HeaderValue::from_static(date));
        clock.learn(&headers);
        clock
    }

    fn apart(one: Timestamp, other: Timestamp) -> f64 {
        one.duration_since(other).as_secs_f64().abs()
    }

    #[test]
    fn the_date_of_an_answer_is_the_time() {
        let clock = learnt("Fri, 02 Jan 2026 03:10:00 GMT");
        let date: Timestamp = "2026-01-02T03:10:00Z".parse().unwrap();
        assert!(apart(clock.now(), date) < 5.0, "{}", clock.now());
        assert!(clock.now() >= date);
    }

    #[rstest]
    #[case("")]
    #[case("yesterday")]
    #[case("Thu, 02 Jan 2026 03:10:00 GMT")]
    fn without_a_date_it_is_the_local_time(#[case] date: &'static str) {
        let clock = learnt(date);
        assert!(apart(clock.now(), Timestamp::now()) < 5.0);
    }

    #[test]
    fn within_a_second_it_does_not_run_backwards() {
        let clock = learnt("Fri, 02 Jan 2026 03:10:00 GMT");
        std::thread::sleep(std::time::Duration::from_millis(20));
        let before = clock.now();
        clock.set("2026-01-02T03:10:00Z".parse().unwrap(), Timestamp::now());
        assert!(clock.now() >= before);
    }

    #[test]
    fn the_newest_answer_counts_even_when_a_clock_was_set_back() {
        let clock = learnt("Fri, 02 Jan 2026 03:10:00 GMT");
        let earlier: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
        clock.set(earlier, Timestamp::now());
        assert!(apart(clock.now(), earlier) < 5.0);
    }
}
