//! Durations as Go writes them: `300ms`, `1m30s`, `1.5h`.

use std::time::Duration;

/// The units of Go's `time.ParseDuration`, in nanoseconds; longer names first.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3), // U+00B5, the micro sign
    ("μs", 1e3), // U+03BC, the Greek letter
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// Longer than any setting can mean; keeps sums of durations and instants in range.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Parses a Go duration that is not negative: numbers, each with a unit, one after the other.
/// `None` for anything else, and for more than ten years.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|length| *length > 0)?;
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let letters = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanoseconds += number * scale;
        rest = tail;
    }
    let duration = Duration::try_from_secs_f64(nanoseconds / 1e9).ok()?;
    (duration <= LONGEST).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("5m", 300_000)]
    #[case("1m30s", 90_000)]
    #[case("500ms", 500)]
    #[case("1.5h", 5_400_000)]
    #[case("1h0.5m", 3_630_000)]
    #[case("1.5h30m", 7_200_000)]
    #[case("0", 0)]
    #[case("0s", 0)]
    #[case(" 30s ", 30_000)]
    #[case(".5s", 500)]
    #[case("2000µs", 2)]
    #[case("2000μs", 2)]
    fn go_durations_are_read(#[case] text: &str, #[case] milliseconds: u64) {
        assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)));
    }

    #[rstest]
    #[case("")]
    #[case("5")]
    #[case("-5m")]
    #[case("5 m")]
    #[case("5min")]
    #[case("m")]
    #[case("1..5s")]
    #[case(".s")]
    #[case("5d")]
    #[case("1e3s")]
    #[case("inf")]
    #[case("99999999999h")]
    fn anything_else_is_refused(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }
}
