//! Freeze windows: times in which nothing may be evicted.

use std::fmt;
use std::str::FromStr;

use cronexpr::Crontab;
use jiff::Timestamp;
use rebalancer_driver::FreezeSchedule;

use crate::crontab::{self, InvalidCrontab};

/// The value of `FREEZE`: crontab expressions with time zones, separated by `;`. Each minute that
/// an expression matches is frozen.
#[derive(Debug, Clone, Default)]
pub struct Freeze {
    windows: Vec<(String, Crontab)>,
}

/// A valid window, for errors.
const EXAMPLE: &str = "* 8-17 * * MON-FRI Europe/Berlin";

impl FreezeSchedule for Freeze {
    fn window_at(&self, instant: Timestamp) -> Option<&str> {
        self.windows
            .iter()
            .find(|(_, window)| crontab::matches(window, instant).unwrap_or(true))
            .map(|(text, _)| text.as_str())
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows: Vec<&str> = self.windows.iter().map(|(text, _)| text.as_str()).collect();
        f.write_str(&windows.join("; "))
    }
}

impl FromStr for Freeze {
    type Err = InvalidCrontab;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let windows = text
            .split(';')
            .map(str::trim)
            .filter(|window| !window.is_empty())
            .map(|window| {
                let crontab = crontab::parse(window, EXAMPLE)?;
                Ok((window.to_owned(), crontab))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { windows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    // 2026-11-23 is a Monday; Berlin is one hour ahead of UTC in winter.
    #[case::in_hours("2026-11-23T07:00:30Z", Some("* 8-17 * * MON-FRI Europe/Berlin"))]
    #[case::before("2026-11-23T06:59:59Z", None)]
    #[case::last_minute("2026-11-23T16:59:59.999Z", Some("* 8-17 * * MON-FRI Europe/Berlin"))]
    #[case::after("2026-11-23T17:00:00Z", None)]
    #[case::sunday("2026-11-22T10:00:00Z", None)]
    #[case::christmas("2026-12-25T03:00:00Z", Some("* * 24-26 12 * UTC"))]
    fn matching_minutes_are_frozen(#[case] at: &str, #[case] window: Option<&str>) {
        let freeze: Freeze = "* 8-17 * * MON-FRI Europe/Berlin; * * 24-26 12 * UTC;"
            .parse()
            .unwrap();
        assert_eq!(freeze.window_at(at.parse().unwrap()), window);
    }

    #[rstest]
    #[case("* 8-17 * * MON-FRI", "timezone")]
    #[case("* 8-17 * * MON-FRI Europe/Bonn", "Europe/Bonn")]
    #[case("* 25 * * * UTC", "")]
    #[case("weekends", "")]
    fn invalid_window_is_reported_with_an_example(#[case] text: &str, #[case] problem: &str) {
        let error = text.parse::<Freeze>().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{text}` is not a crontab")),
            "{error}"
        );
        assert!(error.contains(problem) && !error.contains('\n'), "{error}");
    }

    #[test]
    fn nothing_is_frozen_by_default() {
        assert_eq!(Freeze::default().window_at(Timestamp::UNIX_EPOCH), None);
        assert_eq!(
            "".parse::<Freeze>()
                .unwrap()
                .window_at(Timestamp::UNIX_EPOCH),
            None
        );
    }
}
