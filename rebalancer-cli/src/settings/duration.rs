//! Durations in the syntax of Go: `300ms`, `1m30s`, `1.5h`.

use std::time::Duration;

/// The units of Go's `time.ParseDuration`, in nanoseconds.
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

/// The longest duration that is accepted. It keeps sums of durations and instants in range.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Parses a Go duration that is not negative: numbers, each followed by a unit. Returns `None` for
/// any other text and for more than ten years.
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

/// Formats a duration of whole milliseconds such that [`parse`] reads it back.
pub(crate) fn format(duration: Duration) -> String {
    let mut text = String::new();
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (duration.subsec_millis().into(), "ms"),
    ];
    for (number, unit) in parts {
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
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
    fn parses_go_durations(#[case] text: &str, #[case] milliseconds: u64) {
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
    fn refuses_other_texts(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }

    #[rstest]
    #[case(0, "0s")]
    #[case(500, "500ms")]
    #[case(30_000, "30s")]
    #[case(300_000, "5m")]
    #[case(90_000, "1m30s")]
    #[case(7_200_000, "2h")]
    #[case(5_400_250, "1h30m250ms")]
    fn formats_what_it_parses(#[case] milliseconds: u64, #[case] text: &str) {
        let duration = Duration::from_millis(milliseconds);
        assert_eq!(format(duration), text);
        assert_eq!(parse(text), Some(duration));
    }
}
