//! The record of the last rotation, and what later runs learn from it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Seconds;
use crate::policy::Strategy;

/// Upper bound of the back-off, in seconds. After a day, a past rotation says nothing about the group.
const LONGEST_BACK_OFF: f64 = 24.0 * 3600.0;

/// The record of the last rotation of a workload, which is stored on the workload itself: evictions, the
/// hand-over of an assignment, or a rejoin. All imbalances (max/mean) are over the eligible pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rotation {
    /// The time of the rotation, by the clock of the cluster.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub time: Timestamp,
    /// The names of the evicted pods. Empty if an assignment was handed out, or members rejoined.
    pub victims: Vec<String>,
    /// The number of partitions that got another owner by the hand-over of an assignment, or that were
    /// expected to get one by a rejoin.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moves: usize,
    /// Why the hand-over of the assignment, or the rejoin, was abandoned; absent if it was not, or if pods
    /// were evicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<String>,
    /// The imbalance before the rotation.
    pub imbalance_before: f64,
    /// The imbalance that the rotation was expected to lead to.
    pub imbalance_hoped: f64,
    /// The 90 % interval of the forecast, if there was a forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance_range: Option<(f64, f64)>,
    /// The strategy that decided.
    pub strategy: Strategy,
    /// Number of consecutive rotations before this one that did not help.
    #[serde(default, rename = "futile")]
    pub ineffective: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The outcome of a rotation. All imbalances (max/mean) are over the eligible pods.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RotationOutcome {
    /// The imbalance before the rotation.
    pub before: f64,
    /// The expected imbalance.
    pub hoped: f64,
    /// The 90 % interval of the forecast, if there was a forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<(f64, f64)>,
    /// The imbalance now.
    pub now: f64,
}

/// Half of the last displayed digit. Numbers are displayed with two decimals, so an outcome counts as
/// forecast if it equals a bound of the interval as displayed.
const DISPLAY_PRECISION: f64 = 0.005;

impl RotationOutcome {
    /// Whether the imbalance is within the forecast interval; `None` if there was no forecast.
    #[must_use]
    pub fn is_as_forecast(&self) -> Option<bool> {
        let (low, high) = self.forecast?;
        Some((low - DISPLAY_PRECISION..=high + DISPLAY_PRECISION).contains(&self.now))
    }
}

impl fmt::Display for RotationOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before, hoped, now, ..
        } = self;
        write!(
            f,
            "the imbalance (max/mean) was {before:.2} before it, {hoped:.2} was expected, and it is \
             {now:.2} now"
        )?;
        if let (Some((low, high)), Some(as_forecast)) = (self.forecast, self.is_as_forecast()) {
            let side = if as_forecast { "within" } else { "outside" };
            write!(f, ", {side} the forecast ({low:.2} to {high:.2})")?;
        }
        Ok(())
    }
}

/// The expected fall of the imbalance, as a share, below which a hand-over is not judged by a fall: it
/// relieves pods beside one that stands out whatever it owns.
const LEAST_FALL: f64 = 0.01;

/// The rise of the imbalance, as a share, that counts as noise after such a hand-over.
const NOISE: f64 = 0.05;

/// The effect of a rotation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RotationEffect {
    /// Whether the imbalance fell by at least a tenth of the expected fall, or did not rise if a
    /// hand-over was expected to lower only the loads below the highest one.
    pub(crate) helped: bool,
    /// Number of consecutive rotations that did not help, this one included.
    pub(crate) ineffective: u32,
}

impl Rotation {
    /// The time since the rotation; zero if it is in the future, because clocks differ a little.
    pub(crate) fn age(&self, now: Timestamp) -> Seconds {
        Seconds::new(now.duration_since(self.time).as_secs_f64().max(0.0)).unwrap_or(Seconds::ZERO)
    }

    /// The outcome of the rotation if the imbalance is `now`.
    #[must_use]
    pub fn outcome(&self, now: f64) -> RotationOutcome {
        RotationOutcome {
            before: self.imbalance_before,
            hoped: self.imbalance_hoped,
            forecast: self.imbalance_range,
            now,
        }
    }

    /// The effect of the rotation if the imbalance is `now`.
    pub(crate) fn effect(&self, now: f64) -> RotationEffect {
        let (before, hoped) = (self.imbalance_before, self.imbalance_hoped);
        let is_below_the_peak =
            self.moves > 0 && self.abandoned.is_none() && hoped > before * (1.0 - LEAST_FALL);
        let needed = if is_below_the_peak {
            before * (1.0 + NOISE)
        } else {
            before - (before - hoped) / 10.0
        };
        let helped = now <= needed;
        RotationEffect {
            helped,
            ineffective: if helped {
                0
            } else {
                self.ineffective.saturating_add(1)
            },
        }
    }
}

/// The time to wait after `ineffective` consecutive rotations that did not help: 2, 4, 8, … cooldowns,
/// at most a day.
pub(crate) fn back_off(cooldown: Seconds, ineffective: u32) -> Seconds {
    let exponent = i32::try_from(ineffective).unwrap_or(i32::MAX);
    let seconds = (cooldown.get() * 2.0_f64.powi(exponent)).min(LONGEST_BACK_OFF);
    // The cooldown applies in any case.
    Seconds::new(seconds.max(cooldown.get())).unwrap_or(cooldown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn rotation(ineffective: u32) -> Rotation {
        Rotation {
            time: Timestamp::UNIX_EPOCH,
            victims: vec!["a".into()],
            moves: 0,
            abandoned: None,
            imbalance_before: 2.0,
            imbalance_hoped: 1.5,
            imbalance_range: None,
            strategy: Strategy::RotateOutliers,
            ineffective,
        }
    }

    #[rstest]
    #[case::as_expected(1.5, true)]
    #[case::a_tenth_of_the_expected_fall(1.95, true)]
    #[case::less(1.96, false)]
    #[case::worse(3.0, false)]
    fn a_tenth_of_the_expected_fall_helps(#[case] now: f64, #[case] helped: bool) {
        let effect = rotation(1).effect(now);
        assert_eq!(effect.helped, helped);
        assert_eq!(effect.ineffective, if helped { 0 } else { 2 });
    }

    /// A hand-over that lowers only the loads below the highest one is not expected to lower the imbalance.
    #[rstest]
    #[case::equal(2.0, None, true)]
    #[case::noise(2.09, None, true)]
    #[case::higher(2.11, None, false)]
    #[case::abandoned(2.05, Some("stopped"), false)]
    fn hand_over_below_the_peak_helps_unless_the_imbalance_rises(
        #[case] now: f64,
        #[case] abandoned: Option<&str>,
        #[case] helped: bool,
    ) {
        let handed_over = Rotation {
            victims: Vec::new(),
            moves: 5,
            abandoned: abandoned.map(str::to_owned),
            imbalance_hoped: 1.99,
            ..rotation(0)
        };
        assert_eq!(handed_over.effect(now).helped, helped);
    }

    #[rstest]
    #[case(300, 0, 300.0)]
    #[case(300, 1, 600.0)]
    #[case(300, 2, 1200.0)]
    #[case(300, 8, 76_800.0)]
    #[case(300, 9, 86_400.0)]
    #[case(300, u32::MAX, 86_400.0)]
    #[case::cooldown_of_two_days(172_800, 3, 172_800.0)]
    #[case::no_cooldown(0, 5, 0.0)]
    fn back_off_doubles_up_to_a_day(
        #[case] cooldown: u32,
        #[case] ineffective: u32,
        #[case] wait: f64,
    ) {
        assert_eq!(back_off(Seconds::whole(cooldown), ineffective).get(), wait);
    }

    #[rstest]
    #[case::no_forecast(None, 1.7, None, "and it is 1.70 now")]
    #[case::within(Some((1.4, 1.8)), 1.7, Some(true), ", within the forecast (1.40 to 1.80)")]
    #[case::equal_as_displayed(
        Some((1.7, 1.7)), 1.704, Some(true), ", within the forecast (1.70 to 1.70)"
    )]
    #[case::better(Some((1.4, 1.8)), 1.2, Some(false), ", outside the forecast (1.40 to 1.80)")]
    fn outcome_is_compared_with_the_forecast(
        #[case] forecast: Option<(f64, f64)>,
        #[case] now: f64,
        #[case] as_forecast: Option<bool>,
        #[case] ending: &str,
    ) {
        let outcome = Rotation {
            imbalance_range: forecast,
            ..rotation(0)
        }
        .outcome(now);
        assert_eq!(outcome.is_as_forecast(), as_forecast);
        let message = outcome.to_string();
        assert!(message.ends_with(ending), "{message}");
        assert!(
            message.starts_with("the imbalance (max/mean) was 2.00 before it, 1.50 was expected"),
            "{message}"
        );
    }

    #[test]
    fn age_of_a_rotation_in_the_future_is_zero() {
        assert_eq!(rotation(0).age(Timestamp::MIN), Seconds::ZERO);
    }
}
