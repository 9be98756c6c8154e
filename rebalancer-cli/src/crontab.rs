//! Crontab expressions with time zones.

use cronexpr::Crontab;
use jiff::Timestamp;

/// An invalid crontab expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCrontab(Problem);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("`{text}` is not a crontab expression with a time zone, such as `{example}`: {detail}")]
    Malformed {
        text: String,
        example: &'static str,
        detail: String,
    },
    #[error(
        "`{0}`: `L` is not supported; list the days, such as 28-31 for the last days of each \
         month, or FRI#4,FRI#5 for its last Fridays"
    )]
    LastDay(String),
    #[error("`{0}` matches no time within four years")]
    NoTime(String),
}

/// Parses an expression. `example` is a valid one, for the error.
pub(crate) fn parse(text: &str, example: &'static str) -> Result<Crontab, InvalidCrontab> {
    let malformed = |error: cronexpr::Error| Problem::Malformed {
        text: text.to_owned(),
        example,
        detail: last_line(&error.to_string()),
    };
    let parsed = cronexpr::parse_crontab(text).map_err(malformed);
    parsed
        .and_then(|crontab| check(text, crontab))
        .map_err(InvalidCrontab)
}

/// Refuses expressions that the parser knows, and that match other times than they seem to.
fn check(text: &str, crontab: Crontab) -> Result<Crontab, Problem> {
    if has_last_day(text) {
        Err(Problem::LastDay(text.to_owned()))
    } else if crontab.find_next(Timestamp::now()).is_err() {
        Err(Problem::NoTime(text.to_owned()))
    } else {
        Ok(crontab)
    }
}

/// Whether the days of a valid expression contain `L`: the last day of the month, or the last one
/// of a weekday. The parser knows it, but it never matches in December.
fn has_last_day(text: &str) -> bool {
    // Minute, hour, day of the month, month, day of the week.
    let fields = text.split_ascii_whitespace().take(5);
    let days = fields.skip(2).step_by(2);
    days.flat_map(|field| field.split(','))
        .any(|item| item.ends_with('L'))
}

/// Whether the minute of an instant matches. An expression matches whole minutes.
pub(crate) fn matches(crontab: &Crontab, instant: Timestamp) -> Option<bool> {
    let second = instant.as_second();
    let minute = Timestamp::from_second(second - second.rem_euclid(60)).ok()?;
    crontab.matches(minute).ok()
}

/// The problem in the message of the parser, which draws the expression with a mark below it and
/// the problem after the mark.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches([' ', '^']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::last_day("* * L * * UTC")]
    #[case::in_a_list("* * 1,L,15 * * UTC")]
    #[case::last_friday("0 3 * * 5L Europe/Berlin")]
    #[case::last_friday_in_a_list("0  3 * DEC 1,5L UTC")]
    fn last_day_is_refused_with_the_days_to_list(#[case] text: &str) {
        let error = parse(text, "").unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{text}`: `L` is not supported")),
            "{error}"
        );
        assert!(
            error.contains("28-31") && error.contains("FRI#4,FRI#5"),
            "{error}"
        );
    }

    #[rstest]
    #[case("* * 30 2 * UTC")]
    #[case("0 0 31 APR,JUN,SEP,NOV * Europe/Berlin")]
    fn expression_without_a_time_is_refused(#[case] text: &str) {
        let error = parse(text, "").unwrap_err().to_string();
        assert_eq!(error, format!("`{text}` matches no time within four years"));
    }

    #[rstest]
    #[case::remedy_for_the_last_day("* * 28-31 * * UTC", "2026-12-31T12:00:00Z")]
    #[case::remedy_for_the_last_friday("* * * * FRI#4,FRI#5 UTC", "2027-12-31T12:00:00Z")]
    #[case::month_that_ends_with_l("* * * JUL * UTC", "2026-07-02T12:00:00Z")]
    #[case::zone_that_ends_with_l("* * * * * Asia/Istanbul", "2026-07-02T12:00:00Z")]
    #[case::leap_day("* * 29 2 * UTC", "2028-02-29T12:00:00Z")]
    fn other_expressions_match(#[case] text: &str, #[case] at: &str) {
        let crontab = parse(text, "").unwrap();
        assert_eq!(matches(&crontab, at.parse().unwrap()), Some(true));
    }
}
