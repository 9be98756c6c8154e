//! Numbers with a unit and a range, validated once at construction.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number outside the range of its quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not a valid {quantity}: {expected}")]
pub struct InvalidQuantity {
    /// The name of the quantity: `load`, `percent`, …
    pub quantity: &'static str,
    /// The invalid value, as text.
    pub value: String,
    /// The allowed range.
    pub expected: &'static str,
}

/// Defines a newtype over `f64` with a range. It is `Eq` and `Ord` because it never holds NaN.
macro_rules! float_quantity {
    ($(#[$meta:meta])* $name:ident, $word:literal, $expected:literal, $valid:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            #[doc = concat!("Accepts a value that is ", $expected, ".")]
            ///
            /// # Errors
            /// [`InvalidQuantity`] for any other value, including NaN and the infinities.
            pub fn new(value: f64) -> Result<Self, InvalidQuantity> {
                let valid: fn(f64) -> bool = $valid;
                if value.is_finite() && valid(value) {
                    // Adding zero turns -0.0 into 0.0, so that equal values are equal bits.
                    Ok(Self(value + 0.0))
                } else {
                    Err(InvalidQuantity {
                        quantity: $word,
                        value: value.to_string(),
                        expected: concat!("it must be ", $expected),
                    })
                }
            }

            /// The plain number.
            #[must_use]
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = InvalidQuantity;
            fn try_from(value: f64) -> Result<Self, Self::Error> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(quantity: $name) -> f64 {
                quantity.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidQuantity;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.trim()
                    .parse::<f64>()
                    .ok()
                    .and_then(|value| Self::new(value).ok())
                    .ok_or_else(|| InvalidQuantity {
                        quantity: $word,
                        value: format!("`{text}`"),
                        expected: concat!("it must be ", $expected),
                    })
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.total_cmp(&other.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

float_quantity!(
    /// The load of a pod, in cores (CPU seconds per second) or in the unit of a custom load query:
    /// 0 to 10¹⁵. The upper bound keeps sums and means of loads finite.
    Load, "load", "a number from 0 to 1e15", |v| (0.0..=1e15).contains(&v)
);
float_quantity!(
    /// A positive amount of CPU, in cores: above 0, at most 10¹⁵. Targets and CPU requests are of
    /// this type.
    Cores, "number of cores", "a number above 0, at most 1e15", |v| v > 0.0 && v <= 1e15
);
float_quantity!(
    /// A percentage, 0 to 100.
    Percent, "percent", "a number from 0 to 100", |v| (0.0..=100.0).contains(&v)
);
float_quantity!(
    /// The multiple of the target above which a pod is hot: 1 to 10⁶.
    Tolerance, "tolerance", "a number from 1 to 1e6", |v| (1.0..=1e6).contains(&v)
);
float_quantity!(
    /// The rate of a partition, in records or bytes per second: 0 to 10¹⁵.
    Rate, "rate", "a number from 0 to 1e15", |v| (0.0..=1e15).contains(&v)
);
float_quantity!(
    /// A duration in seconds: 0 to 10¹².
    Seconds, "number of seconds", "a number from 0 to 1e12", |v| (0.0..=1e12).contains(&v)
);

impl Load {
    /// A load of zero.
    pub const ZERO: Self = Self(0.0);
}

impl Default for Load {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Seconds {
    /// A duration of zero.
    pub const ZERO: Self = Self(0.0);

    /// A whole number of seconds.
    #[must_use]
    pub const fn whole(seconds: u32) -> Self {
        Self(seconds as f64)
    }
}

impl Tolerance {
    /// The default tolerance.
    pub const DEFAULT: Self = Self(1.5);
}

impl Percent {
    /// Whether a value is strictly greater than this minimum. Every strategy compares its
    /// improvement with the minimum improvement in this way.
    #[must_use]
    pub fn is_exceeded_by(self, value: f64) -> bool {
        value > self.0
    }

    /// The default minimum improvement.
    pub const DEFAULT_MINIMUM_IMPROVEMENT: Self = Self(10.0);
    /// The default minimum confidence.
    pub const DEFAULT_MINIMUM_CONFIDENCE: Self = Self(80.0);
    /// The default minimum coverage.
    pub const DEFAULT_MINIMUM_COVERAGE: Self = Self(90.0);
}

impl TopK {
    /// The default number of hottest, and of coldest pods.
    pub const DEFAULT: Self = Self(NonZeroUsize::MIN.saturating_add(1));
}

impl MinimumPods {
    /// The default minimum of ready pods.
    pub const DEFAULT: Self = Self(NonZeroUsize::MIN.saturating_add(2));
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        // A `Duration` is finite and not negative. More than 30,000 years are capped.
        Self(duration.as_secs_f64().min(1e12))
    }
}

impl Seconds {
    /// A rounded text for a person: in seconds, from two hours on in hours, from two days on in
    /// days.
    #[must_use]
    pub fn rounded(self) -> String {
        const HOUR: f64 = 3600.0;
        const DAY: f64 = 24.0 * HOUR;
        if self.0 >= 2.0 * DAY {
            format!("{:.0} d", self.0 / DAY)
        } else if self.0 >= 2.0 * HOUR {
            format!("{:.1} h", self.0 / HOUR)
        } else {
            format!("{:.0} s", self.0)
        }
    }

    /// An upper bound as text for a person: as [`rounded`](Self::rounded), but rounded up to a
    /// tenth of a second below ten seconds.
    #[must_use]
    pub fn rounded_up(self) -> String {
        if self.0 < 10.0 && self.0.fract() != 0.0 {
            format!("{:.1} s", (self.0 * 10.0).ceil() / 10.0)
        } else {
            self.rounded()
        }
    }

    /// Converts to a [`Duration`].
    #[must_use]
    pub fn to_duration(self) -> Duration {
        Duration::try_from_secs_f64(self.0).unwrap_or(Duration::MAX)
    }
}

/// The maximum number of hottest, and of coldest pods in a plan: at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct TopK(NonZeroUsize);

/// The number of ready pods that must be left at any time: at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct MinimumPods(NonZeroUsize);

macro_rules! count_quantity {
    ($name:ident, $word:literal) => {
        impl $name {
            /// Accepts a whole number from 1 up.
            ///
            /// # Errors
            /// [`InvalidQuantity`] for 0.
            pub fn new(value: usize) -> Result<Self, InvalidQuantity> {
                NonZeroUsize::new(value).map(Self).ok_or(InvalidQuantity {
                    quantity: $word,
                    value: value.to_string(),
                    expected: "it must be a whole number, 1 or more",
                })
            }

            /// The plain number.
            #[must_use]
            pub fn get(self) -> usize {
                self.0.get()
            }
        }

        impl FromStr for $name {
            type Err = InvalidQuantity;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.trim().parse().map(Self).map_err(|_| InvalidQuantity {
                    quantity: $word,
                    value: format!("`{text}`"),
                    expected: "it must be a whole number, 1 or more",
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

count_quantity!(TopK, "number of pods");
count_quantity!(MinimumPods, "number of pods");

/// The maximum number of victims that are evicted at the same time: the size of a wave.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MaxUnavailable {
    /// The whole plan is one wave. Each wave costs the group two rebalances, so this is the
    /// default.
    #[default]
    All,
    /// At most this number of pods.
    Pods(NonZeroUsize),
    /// At most this share of the workload's ready pods, rounded down, but at least one pod.
    Percent(Percent),
}

impl MaxUnavailable {
    /// The size of the largest wave in a workload with `ready` ready pods; at least 1.
    #[must_use]
    pub fn wave_size(self, ready: usize) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::Pods(pods) => pods.get(),
            // Multiplying first keeps whole results exact: 30 % of 10 pods is 3, not 2.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of a pod count is a small number, and is rounded down"
            )]
            Self::Percent(percent) => ((ready as f64 * percent.get() / 100.0) as usize).max(1),
        }
    }
}

impl FromStr for MaxUnavailable {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidQuantity {
            quantity: "number of pods",
            value: format!("`{text}`"),
            expected: "it must be `all`, a whole number from 1 up, or a percentage such as `25%`",
        };
        let text = text.trim();
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        match text.strip_suffix('%') {
            Some(share) => share
                .parse()
                .ok()
                .filter(|percent: &Percent| percent.get() > 0.0)
                .map(Self::Percent)
                .ok_or_else(invalid),
            None => text.parse().map(Self::Pods).map_err(|_| invalid()),
        }
    }
}

impl fmt::Display for MaxUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Pods(pods) => write!(f, "{pods}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0.0, "0 s")]
    #[case(0.3, "0.3 s")]
    #[case(0.31, "0.4 s")]
    #[case(5.0, "5 s")]
    #[case(12.4, "12 s")]
    fn bound_is_rounded_up_and_no_false_zero(#[case] seconds: f64, #[case] text: &str) {
        assert_eq!(Seconds::new(seconds).unwrap().rounded_up(), text);
    }

    #[rstest]
    #[case(0.0, true)]
    #[case(-0.0, true)]
    #[case(61.5, true)]
    #[case(-1e-9, false)]
    #[case(f64::NAN, false)]
    #[case(f64::INFINITY, false)]
    #[case(1e16, false)]
    fn load_is_finite_and_not_negative(#[case] value: f64, #[case] valid: bool) {
        assert_eq!(Load::new(value).is_ok(), valid);
    }

    #[test]
    fn negative_zero_becomes_zero() {
        assert_eq!(Load::new(-0.0).unwrap().get().to_bits(), 0);
    }

    #[rstest]
    #[case(-0.1, false)]
    #[case(0.0, true)]
    #[case(100.0, true)]
    #[case(100.1, false)]
    fn percent_is_0_to_100(#[case] value: f64, #[case] valid: bool) {
        assert_eq!(Percent::new(value).is_ok(), valid);
    }

    #[test]
    fn top_k_is_at_least_1() {
        assert!(TopK::new(0).is_err());
        assert_eq!(TopK::new(1).unwrap().get(), 1);
    }

    #[test]
    fn minimum_is_not_exceeded_at_equality() {
        let minimum = Percent::DEFAULT_MINIMUM_IMPROVEMENT;
        assert!(!minimum.is_exceeded_by(minimum.get()));
        assert!(minimum.is_exceeded_by(minimum.get().next_up()));
        assert!(!minimum.is_exceeded_by(minimum.get().next_down()));
    }

    #[test]
    fn error_names_the_value_and_the_range() {
        let error = "abc".parse::<Percent>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`abc` is not a valid percent: it must be a number from 0 to 100"
        );
    }

    #[rstest]
    #[case("all", 10, usize::MAX)]
    #[case("3", 10, 3)]
    #[case("25%", 10, 2)]
    #[case("30%", 10, 3)]
    #[case("1%", 10, 1)]
    fn max_unavailable_limits_the_wave_size(
        #[case] text: &str,
        #[case] ready: usize,
        #[case] wave: usize,
    ) {
        assert_eq!(
            text.parse::<MaxUnavailable>().unwrap().wave_size(ready),
            wave
        );
    }

    #[rstest]
    #[case("0")]
    #[case("0%")]
    #[case("101%")]
    #[case("-1")]
    #[case("half")]
    #[case("")]
    fn max_unavailable_refuses_invalid_text(#[case] text: &str) {
        assert!(text.parse::<MaxUnavailable>().is_err());
    }
}
