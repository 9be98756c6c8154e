//! The API server's clock, known from the `Date` header of its responses.
//!
//! Ages of pods and the end of a lease are computed from instants that the cluster wrote. By the
//! local clock, they would be wrong by the difference between the two clocks.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use http::{HeaderMap, header};
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

/// The largest difference between the clocks without a warning. Latency and the whole seconds of a
/// `Date` header cause smaller differences.
const TOLERABLE: SignedDuration = SignedDuration::from_secs(30);

/// The API server's clock.
#[derive(Default)]
pub(crate) struct ServerClock {
    newest: Mutex<Option<Reading>>,
}

/// The `Date` of a response, and the time at which it was received.
#[derive(Clone, Copy)]
struct Reading {
    server: Timestamp,
    /// By the monotonic clock.
    received: Instant,
    warned: bool,
}

impl Reading {
    /// Returns the time by the server's clock at a local instant.
    fn after(&self, now: Instant) -> Timestamp {
        let passed = now.saturating_duration_since(self.received);
        self.server.checked_add(passed).unwrap_or(Timestamp::MAX)
    }
}

impl ServerClock {
    /// Reads the `Date` of a response, if it has one.
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
                "the clock of the API server is known"
            );
        }
        let mut warned = newest.is_some_and(|reading| reading.warned);
        if off.abs() > TOLERABLE && !warned {
            tracing::warn!(
                local_ahead_seconds = off.as_secs(),
                "the local clock differs from the API server's clock, by which ages of pods are \
                 computed; synchronize the clocks"
            );
            warned = true;
        }
        let received = Instant::now();
        let known = newest.filter(|reading| {
            let ahead = reading.after(received).duration_since(server);
            // A `Date` has whole seconds. An earlier reading that agrees with it is more precise.
            (SignedDuration::ZERO..SignedDuration::from_secs(1)).contains(&ahead)
        });
        *newest = Some(match known {
            Some(known) => Reading { warned, ..known },
            None => Reading {
                server,
                received,
                warned,
            },
        });
    }

    /// Returns the current time by the server's clock, or by the local clock if no response had a
    /// `Date`.
    pub(crate) fn now(&self) -> Timestamp {
        let newest = *self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.map_or_else(Timestamp::now, |reading| reading.after(Instant::now()))
    }
}

/// An instant in the form of the API's `MicroTime`, which requires exactly six digits.
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

    fn clock_with(date: &'static str) -> ServerClock {
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
    fn time_is_the_date_of_the_response() {
        let clock = clock_with("Fri, 02 Jan 2026 03:10:00 GMT");
        let date: Timestamp = "2026-01-02T03:10:00Z".parse().unwrap();
        assert!(apart(clock.now(), date) < 5.0, "{}", clock.now());
        assert!(clock.now() >= date);
    }

    #[rstest]
    #[case("")]
    #[case("yesterday")]
    #[case("Thu, 02 Jan 2026 03:10:00 GMT")]
    fn time_is_local_without_a_date(#[case] date: &'static str) {
        let clock = clock_with(date);
        assert!(apart(clock.now(), Timestamp::now()) < 5.0);
    }

    #[test]
    fn time_does_not_run_backwards_within_a_second() {
        let clock = clock_with("Fri, 02 Jan 2026 03:10:00 GMT");
        std::thread::sleep(std::time::Duration::from_millis(20));
        let before = clock.now();
        clock.set("2026-01-02T03:10:00Z".parse().unwrap(), Timestamp::now());
        assert!(clock.now() >= before);
    }

    #[test]
    fn newest_response_counts_even_if_the_clock_was_set_back() {
        let clock = clock_with("Fri, 02 Jan 2026 03:10:00 GMT");
        let earlier: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
        clock.set(earlier, Timestamp::now());
        assert!(apart(clock.now(), earlier) < 5.0);
    }
}
