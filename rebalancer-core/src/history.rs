//! What is remembered from one run to the next, and what follows from it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::model::Seconds;
use crate::policy::Strategy;

/// Who does not write it down for a day has nothing to learn from it any more.
const LONGEST_BACK_OFF: f64 = 24.0 * 3600.0;

/// The last rotation of a workload, as it is kept on the workload itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rotation {
    /// When it was done, by the clock of the cluster.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub time: Timestamp,
    /// The pods that were evicted, by name.
    pub victims: Vec<String>,
    /// The highest load as a multiple of the mean, before it.
    pub imbalance_before: f64,
    /// The same as it was hoped for after it.
    pub imbalance_hoped: f64,
    /// What was forecast for nine of ten cases, from and to, where there was a forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance_range: Option<(f64, f64)>,
    /// The rule that chose the victims.
    pub strategy: Strategy,
    /// How many rotations in a row before this one had not helped.
    #[serde(default, rename = "futile")]
    pub ineffective: u32,
}

/// What came true of a rotation. Imbalances are the highest load as a multiple of the mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RotationOutcome {
    /// The imbalance before it.
    pub before: f64,
    /// What was hoped for.
    pub hoped: f64,
    /// What was forecast for nine of ten cases, from and to, where there was a forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<(f64, f64)>,
    /// What it is now.
    pub now: f64,
}

/// Numbers are told with two digits behind the point: who is told `1.86 to 1.86` and `1.86` is not
/// to read that the one is outside of the other.
const TOLD: f64 = 0.005;

impl RotationOutcome {
    /// Whether it is as was forecast; `None` where there was no forecast.
    #[must_use]
    pub fn is_as_forecast(&self) -> Option<bool> {
        let (low, high) = self.forecast?;
        Some((low - TOLD..=high + TOLD).contains(&self.now))
    }
}

impl fmt::Display for RotationOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before, hoped, now, ..
        } = self;
        write!(
            f,
            "the most loaded pod had {before:.2} × the mean before it, {hoped:.2} × was hoped for, \
             and it has {now:.2} × now"
        )?;
        if let (Some((low, high)), Some(as_forecast)) = (self.forecast, self.is_as_forecast()) {
            let where_it_is = if as_forecast {
                "as was"
            } else {
                "outside of what was"
            };
            write!(f, ", {where_it_is} forecast ({low:.2} to {high:.2} ×)")?;
        }
        Ok(())
    }
}

/// What became of the hopes of a rotation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judgement {
    /// It lowered the imbalance by at least a tenth of what was hoped for.
    pub(crate) helped: bool,
    /// How many rotations in a row have not helped, this one included.
    pub(crate) ineffective: u32,
}

impl Rotation {
    /// What to remember of `decision`, of whose plan `victims` were evicted at `time`; `last` is
    /// what was remembered until now. `None` when the decision has no numbers to hope for.
    #[must_use]
    pub fn of(
        decision: &Decision,
        strategy: Strategy,
        last: Option<&Self>,
        time: Timestamp,
        victims: Vec<String>,
    ) -> Option<Self> {
        let analysis = &decision.analysis;
        let before = analysis.imbalance?;
        let group = decision.group.as_ref();
        let forecast = group.and_then(|group| Some((group, group.chosen.as_ref()?.forecast)));
        let (hoped, range, strategy) = match forecast {
            // The forecast is of all ready pods, the imbalance that later runs see of the eligible.
            Some((group, forecast)) => {
                let scale = before / group.peak_to_mean;
                let peak = forecast.peak_to_mean;
                let range = (peak.p5 * scale, peak.p95 * scale);
                (peak.mean * scale, Some(range), Strategy::Forecast)
            }
            // The hottest are hoped to come down to the mean of all that go.
            None => {
                let fall = (analysis.top_mean? - analysis.both_mean?) / analysis.mean?;
                let rule = match strategy {
                    Strategy::Auto => Strategy::RotateOutliers,
                    Strategy::RotateOutliers | Strategy::Forecast => strategy,
                };
                ((before - fall).max(1.0), None, rule)
            }
        };
        Some(Self {
            time,
            victims,
            imbalance_before: before,
            imbalance_hoped: hoped,
            imbalance_range: range,
            strategy,
            ineffective: last.map_or(0, |last| last.judge(before).ineffective),
        })
    }

    /// How long ago it was; never less than nothing, since clocks differ a little.
    pub(crate) fn age(&self, now: Timestamp) -> Seconds {
        Seconds::new(now.duration_since(self.time).as_secs_f64().max(0.0)).unwrap_or(Seconds::ZERO)
    }

    /// What came true of it, when the imbalance is `now`.
    #[must_use]
    pub fn outcome(&self, now: f64) -> RotationOutcome {
        RotationOutcome {
            before: self.imbalance_before,
            hoped: self.imbalance_hoped,
            forecast: self.imbalance_range,
            now,
        }
    }

    /// What an imbalance of `now` says about it.
    pub(crate) fn judge(&self, now: f64) -> Judgement {
        let needed = self.imbalance_before - (self.imbalance_before - self.imbalance_hoped) / 10.0;
        let helped = now <= needed;
        Judgement {
            helped,
            ineffective: if helped {
                0
            } else {
                self.ineffective.saturating_add(1)
            },
        }
    }
}

/// How long to wait after `ineffective` rotations in a row that did not help: 2, 4, 8, … cooldowns, a
/// day at most.
pub(crate) fn back_off(cooldown: Seconds, ineffective: u32) -> Seconds {
    let exponent = i32::try_from(ineffective).unwrap_or(i32::MAX);
    let seconds = (cooldown.get() * 2.0_f64.powi(exponent)).min(LONGEST_BACK_OFF);
    // Never less than the cooldown that holds anyway.
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
            imbalance_before: 2.0,
            imbalance_hoped: 1.5,
            imbalance_range: None,
            strategy: Strategy::RotateOutliers,
            ineffective,
        }
    }

    #[rstest]
    #[case::as_hoped(1.5, true)]
    #[case::a_tenth_of_it(1.95, true)]
    #[case::less(1.96, false)]
    #[case::worse(3.0, false)]
    fn a_tenth_of_what_was_hoped_for_is_a_help(#[case] now: f64, #[case] helped: bool) {
        let judgement = rotation(1).judge(now);
        assert_eq!(judgement.helped, helped);
        assert_eq!(judgement.ineffective, if helped { 0 } else { 2 });
    }

    #[rstest]
    #[case(300, 0, 300.0)]
    #[case(300, 1, 600.0)]
    #[case(300, 2, 1200.0)]
    #[case(300, 8, 76_800.0)]
    #[case(300, 9, 86_400.0)]
    #[case(300, u32::MAX, 86_400.0)]
    #[case::of_a_cooldown_of_two_days(172_800, 3, 172_800.0)]
    #[case::without_a_cooldown(0, 5, 0.0)]
    fn waits_double_up_to_a_day(
        #[case] cooldown: u32,
        #[case] ineffective: u32,
        #[case] wait: f64,
    ) {
        assert_eq!(back_off(Seconds::whole(cooldown), ineffective).get(), wait);
    }

    #[rstest]
    #[case::without_a_forecast(None, 1.7, None, "and it has 1.70 × now")]
    #[case::as_forecast(Some((1.4, 1.8)), 1.7, Some(true), ", as was forecast (1.40 to 1.80 ×)")]
    #[case::exactly(Some((1.7, 1.7)), 1.704, Some(true), ", as was forecast (1.70 to 1.70 ×)")]
    #[case::better(
        Some((1.4, 1.8)), 1.2, Some(false), ", outside of what was forecast (1.40 to 1.80 ×)"
    )]
    fn what_came_true_is_told(
        #[case] forecast: Option<(f64, f64)>,
        #[case] now: f64,
        #[case] as_forecast: Option<bool>,
        #[case] ends: &str,
    ) {
        let outcome = Rotation {
            imbalance_range: forecast,
            ..rotation(0)
        }
        .outcome(now);
        assert_eq!(outcome.is_as_forecast(), as_forecast);
        let told = outcome.to_string();
        assert!(told.ends_with(ends), "{told}");
        assert!(
            told.starts_with(
                "the most loaded pod had 2.00 × the mean before it, 1.50 × was hoped for"
            ),
            "{told}"
        );
    }

    #[test]
    fn a_rotation_in_the_future_is_of_now() {
        assert_eq!(rotation(0).age(Timestamp::MIN), Seconds::ZERO);
    }
}
