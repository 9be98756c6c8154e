//! The schedule of a resident process: the times at which runs begin.

use std::fmt;
use std::str::FromStr;

use cronexpr::Crontab;
use jiff::Timestamp;

use crate::crontab::{self, InvalidCrontab};

/// The value of `SCHEDULE`: a crontab expression with a time zone. A run begins at each minute that
/// matches.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    crontab: Crontab,
}

/// A valid schedule, for errors.
const EXAMPLE: &str = "*/10 * * * * Europe/Berlin";

impl Schedule {
    /// The first time of the schedule after `instant`; `None` if there is none within four years.
    #[must_use]
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let next = self.crontab.find_next(instant).ok()?;
        Some(next.timestamp())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Schedule {
    type Err = InvalidCrontab;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let crontab = crontab::parse(text, EXAMPLE)?;
        Ok(Self {
            text: text.to_owned(),
            crontab,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    // In winter, Berlin is one hour ahead of UTC; in summer, two.
    #[case(
        "30 4 * * * Europe/Berlin",
        "2026-01-02T03:29:59Z",
        "2026-01-02T03:30:00Z"
    )]
    #[case(
        "30 4 * * * Europe/Berlin",
        "2026-01-02T03:30:00Z",
        "2026-01-03T03:30:00Z"
    )]
    #[case(
        "30 4 * * * Europe/Berlin",
        "2026-07-02T00:00:00Z",
        "2026-07-02T02:30:00Z"
    )]
    #[case("*/10 * * * * UTC", "2026-01-02T03:09:59.9Z", "2026-01-02T03:10:00Z")]
    // 02:30 does not exist on the day that summer time begins.
    #[case(
        "30 2 * * * Europe/Berlin",
        "2026-03-28T23:00:00Z",
        "2026-03-30T00:30:00Z"
    )]
    fn next_time_is_in_the_time_zone(#[case] text: &str, #[case] at: &str, #[case] next: &str) {
        let schedule: Schedule = text.parse().unwrap();
        let found = schedule.next_after(at.parse().unwrap());
        assert_eq!(found, Some(next.parse().unwrap()));
        assert_eq!(schedule.to_string(), text);
    }

    #[rstest]
    #[case("*/10 * * * *", "timezone")]
    #[case("@hourly UTC", "")]
    #[case("every hour", "")]
    fn invalid_schedule_is_reported_with_an_example(#[case] text: &str, #[case] problem: &str) {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{text}` is not a crontab")) && error.contains(EXAMPLE),
            "{error}"
        );
        assert!(error.contains(problem) && !error.contains('\n'), "{error}");
    }
}
