//! Crontab expressions with time zones.

use cronexpr::Crontab;
use jiff::Timestamp;

/// An invalid crontab expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a crontab expression with a time zone, such as `{example}`: {problem}")]
pub struct InvalidCrontab {
    text: String,
    example: &'static str,
    problem: String,
}

/// Parses an expression. `example` is a valid one, for the error.
pub(crate) fn parse(text: &str, example: &'static str) -> Result<Crontab, InvalidCrontab> {
    cronexpr::parse_crontab(text).map_err(|error| InvalidCrontab {
        text: text.to_owned(),
        example,
        problem: last_line(&error.to_string()),
    })
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
