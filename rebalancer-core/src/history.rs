//! The record of the last rotation, and what later runs learn from it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::Seconds;
use crate::policy::Strategy;

/// Upper bound of the back-off, in seconds. After a day, a past rotation says nothing about the
/// group.
const LONGEST_BACK_OFF: f64 = 24.0 * 3600.0;

/// The record of the last rotation of a workload, which is stored on the workload itself:
/// evictions, the hand-over of an assignment, or a rejoin. All imbalances (max/mean) are over the
/// eligible pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rotation {
    /// The time of the rotation, by the clock of the cluster.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub time: Timestamp,
    /// The names of the evicted pods. Empty if an assignment was handed out, or members rejoined.
    pub victims: Vec<String>,
    /// The number of partitions that got another owner by the hand-over of an assignment, or that
    /// were expected to get one by a rejoin.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub moves: usize,
    /// Why the hand-over of the assignment, or the rejoin, was abandoned; absent if it was not, or
    /// if pods were evicted.
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
    /// The rotations before it, newest first, as far as they are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierRotation>,
}

/// The record of a rotation before the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EarlierRotation {
    /// The time of the rotation, by the clock of the cluster.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub time: Timestamp,
    /// The number of evicted pods.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub evictions: usize,
    /// The number of partitions that got another owner without evictions.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub moves: usize,
    /// The imbalance before the rotation.
    pub imbalance_before: f64,
    /// The imbalance when the next rotation was decided; absent if several rotations share this
    /// record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance_after: Option<f64>,
    /// The strategy that decided.
    pub strategy: Strategy,
}

/// The number of earlier rotations that are kept. An annotation may have 256 KiB; these have 10
/// KiB.
const KEPT: usize = 64;
/// The age up to which earlier rotations are kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The time over which evictions are counted.
const DAY: SignedDuration = SignedDuration::from_hours(24);

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

/// Half of the last displayed digit. Numbers are displayed with two decimals, so an outcome counts
/// as forecast if it equals a bound of the interval as displayed.
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

/// The expected fall of the imbalance, as a share, below which a hand-over is not judged by a fall:
/// it relieves pods beside one that stands out whatever it owns.
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
    /// The record of this rotation among those before the next one, which is decided at the time
    /// `now` and the imbalance `after`, followed by the rotations before it.
    ///
    /// If there are too many rotations of the last 24 hours, the oldest ones share a record with
    /// the time of the latest of them: their evictions count for longer rather than shorter.
    pub(crate) fn earlier_of_next(&self, after: f64, now: Timestamp) -> Vec<EarlierRotation> {
        let rounded = |imbalance: f64| (imbalance * 1000.0).round() / 1000.0;
        let this = EarlierRotation {
            time: self.time,
            evictions: self.victims.len(),
            moves: self.moves,
            imbalance_before: rounded(self.imbalance_before),
            imbalance_after: Some(rounded(after)),
            strategy: self.strategy,
        };
        let mut all = vec![this];
        all.extend(self.earlier.iter().cloned());
        all.retain(|earlier| now.duration_since(earlier.time) <= KEPT_FOR);
        while all.len() > KEPT {
            let Some(oldest) = all.pop() else { break };
            if now.duration_since(oldest.time) < DAY
                && let Some(next) = all.last_mut()
            {
                next.evictions = next.evictions.saturating_add(oldest.evictions);
                next.moves = next.moves.saturating_add(oldest.moves);
                next.imbalance_before = oldest.imbalance_before;
                next.imbalance_after = None;
            }
        }
        all
    }

    /// The times of the recorded evictions, newest first, with the number of pods at each time.
    fn evictions(&self) -> impl Iterator<Item = (Timestamp, usize)> {
        let earlier = self.earlier.iter();
        std::iter::once((self.time, self.victims.len()))
            .chain(earlier.map(|earlier| (earlier.time, earlier.evictions)))
    }

    /// The number of recorded evictions within the 24 hours before `now`. Without a current time,
    /// all of them count.
    #[must_use]
    pub fn evictions_of_last_day(&self, now: Option<Timestamp>) -> usize {
        let evictions = self.evictions();
        let of_day =
            evictions.filter(|(time, _)| now.is_none_or(|now| now.duration_since(*time) < DAY));
        of_day.fold(0, |sum, (_, pods)| sum.saturating_add(pods))
    }

    /// The time from which fewer than `limit` recorded evictions are within 24 hours; `None` if
    /// that is the case at the time `now`, or if `now` is not known.
    pub(crate) fn fewer_evictions_from(
        &self,
        now: Option<Timestamp>,
        limit: usize,
    ) -> Option<Timestamp> {
        let now = now?;
        let mut sum = 0_usize;
        for (time, pods) in self.evictions() {
            sum = sum.saturating_add(pods);
            if sum >= limit {
                let from = time.checked_add(DAY).ok()?;
                return (from > now).then_some(from);
            }
        }
        None
    }

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

/// The time to wait after `ineffective` consecutive rotations that did not help: 2, 4, 8, …
/// cooldowns, at most a day.
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
            earlier: Vec::new(),
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

    /// A hand-over that lowers only the loads below the highest one is not expected to lower the
    /// imbalance.
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
    fn earlier_rotations_are_kept_for_a_week_and_counted_for_a_day() {
        let hour = |hours: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let mut last = rotation(0);
        for hours in [30, 90, 170, 190] {
            let earlier = last.earlier_of_next(1.23456, hour(hours));
            last = Rotation {
                time: hour(hours),
                victims: vec!["a".into(), "b".into()],
                earlier,
                ..rotation(0)
            };
        }
        // The first one was 190 hours ago, more than a week.
        let times: Vec<Timestamp> = last.earlier.iter().map(|earlier| earlier.time).collect();
        assert_eq!(times, [hour(170), hour(90), hour(30)]);
        assert_eq!(last.earlier[0].imbalance_after, Some(1.235));
        assert_eq!(last.evictions_of_last_day(Some(hour(193))), 4);
        assert_eq!(last.evictions_of_last_day(Some(hour(194))), 2);
        assert_eq!(last.evictions_of_last_day(None), 8);
        let from = |limit| last.fewer_evictions_from(Some(hour(193)), limit);
        assert_eq!((from(4), from(2)), (Some(hour(194)), Some(hour(214))));
        assert_eq!(from(5), None);
    }

    #[test]
    fn evictions_of_a_day_are_counted_however_many_rotations_there_were() {
        let minute = |minutes: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let mut last = rotation(0);
        for minutes in 1..500 {
            let earlier = last.earlier_of_next(1.5, minute(minutes));
            last = Rotation {
                time: minute(minutes),
                earlier,
                ..rotation(0)
            };
        }
        assert_eq!(last.earlier.len(), KEPT);
        assert_eq!(last.evictions_of_last_day(Some(minute(500))), 500);
        let text = serde_json::to_string(&last).unwrap();
        assert!(text.len() < 10_240, "{}", text.len());
    }

    #[test]
    fn record_of_an_older_version_has_no_earlier_rotations() {
        let text = r#"{"time": "2026-01-02T18:00:00Z", "victims": ["x", "y"], "imbalance_before": 2.0,
            "imbalance_hoped": 1.5, "strategy": "rotate-outliers", "futile": 1}"#;
        let last: Rotation = serde_json::from_str(text).unwrap();
        assert_eq!(last.earlier, []);
        assert_eq!(last.evictions_of_last_day(None), 2);
    }

    #[test]
    fn age_of_a_rotation_in_the_future_is_zero() {
        assert_eq!(rotation(0).age(Timestamp::MIN), Seconds::ZERO);
    }
}
