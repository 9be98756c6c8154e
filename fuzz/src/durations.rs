//! Durations in Go's notation: parsing never panics, agrees with exact arithmetic on what is
//! accepted and on the value, and the result survives a round trip.

use std::time::Duration;

use rebalancer_cli::fuzzing::duration;

/// The units and their lengths, in nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// The fraction of a nanosecond in which the oracle counts.
const FINE: u128 = 1_000_000;
/// Ten years; longer durations are refused.
const LONGEST: u128 = 10 * 365 * 24 * 3600 * 1_000_000_000;

/// Checks the input as a duration.
pub fn check(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let parsed = duration(text);
    match (parsed, exact(text)) {
        (Some(parsed), Some(exact)) => {
            let difference = (parsed.as_nanos() * FINE).abs_diff(exact);
            assert!(
                difference <= rounding(exact),
                "{text:?}: {parsed:?} instead of {exact} units of 1/{FINE} ns"
            );
        }
        (None, Some(exact)) => assert!(
            exact + rounding(exact) >= LONGEST * FINE,
            "{text:?} is rejected"
        ),
        (Some(parsed), None) => unreachable!("{text:?} is accepted as {parsed:?}"),
        (None, None) => {}
    }
    if let Some(parsed) = parsed {
        reads_back(parsed);
    }
    parsed.is_some()
}

/// The allowed error: one nanosecond plus the rounding of doubles, which hold nearly 16 digits.
fn rounding(exact: u128) -> u128 {
    FINE + exact / 100_000_000_000_000
}

fn reads_back(parsed: Duration) {
    let text = format!("{}s{}ns", parsed.as_secs(), parsed.subsec_nanos());
    match duration(&text) {
        Some(again) => {
            let difference = again.as_nanos().abs_diff(parsed.as_nanos());
            // Up to 13 days, every step of the arithmetic is exact.
            let allowed = if parsed.as_nanos() < 1 << 50 {
                0
            } else {
                rounding(parsed.as_nanos() * FINE) / FINE
            };
            assert!(difference <= allowed, "{text} is parsed as {again:?}");
        }
        None => assert!(
            parsed.as_nanos() + rounding(LONGEST * FINE) / FINE >= LONGEST,
            "{text} is rejected"
        ),
    }
}

/// The value by Go's grammar, exact up to the 19th decimal place.
fn exact(text: &str) -> Option<u128> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: u128 = 0;
    while !rest.is_empty() {
        let whole = take_digits(&mut rest);
        let fraction = match rest.strip_prefix('.') {
            Some(tail) => {
                rest = tail;
                take_digits(&mut rest)
            }
            None => "",
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (unit, nanoseconds) = UNITS
            .iter()
            .filter(|(unit, _)| rest.starts_with(unit))
            .max_by_key(|(unit, _)| unit.len())?;
        rest = &rest[unit.len()..];
        let scale = nanoseconds * FINE;
        let whole = whole.trim_start_matches('0');
        let fraction = &fraction[..fraction.len().min(18)];
        let number = match whole.len() {
            0 => 0,
            1..=18 => whole.parse::<u128>().ok()? * scale,
            // Longer than ten years in any unit.
            _ => 2 * LONGEST * FINE,
        };
        let places = u32::try_from(fraction.len()).ok()?;
        let part = match fraction {
            "" => 0,
            digits => digits.parse::<u128>().ok()? * scale / 10_u128.pow(places),
        };
        sum = sum.saturating_add(number).saturating_add(part);
    }
    Some(sum)
}

fn take_digits<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, tail) = rest.split_at(end);
    *rest = tail;
    digits
}
