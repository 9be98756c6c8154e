//! The record of a hold, from which later runs know for how long the same reason has held.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hold_reason::HoldReason;
use crate::model::Seconds;

/// The hold of the last run, which is stored for the next run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRecord {
    /// The word of the hold reason. A later version of the program may have written it, so it is
    /// not a [`HoldReason`].
    pub reason: String,
    /// The time of the first of the runs, by the clock of the cluster.
    pub since: Timestamp,
    /// The number of consecutive runs that held for this reason, at least 1.
    pub runs: u32,
}

impl HoldRecord {
    /// The record of a run that holds for `reason` at the time `now`, after a run that left
    /// `previous`.
    #[must_use]
    pub fn next(previous: Option<&Self>, reason: HoldReason, now: Timestamp) -> Self {
        let same = previous.filter(|previous| previous.reason == reason.as_str());
        Self {
            reason: reason.as_str().to_owned(),
            // Clocks differ a little.
            since: same.map_or(now, |previous| previous.since.min(now)),
            runs: same.map_or(1, |previous| previous.runs.saturating_add(1)),
        }
    }
}

/// The time for which runs have held for the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeldSince {
    /// The time of the first run that held for this reason, by the clock of the cluster.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub since: Timestamp,
    /// The time from then until this run, in seconds.
    pub seconds: Seconds,
    /// The number of consecutive runs that held for this reason, this one included.
    pub runs: u32,
    /// Whether the reason has held for longer than is expected without an operator, so that the run
    /// exits with 1.
    pub alert: bool,
}

impl HeldSince {
    /// The time for which `record`, that of a hold for `reason`, has lasted at the time `now`. It is
    /// an alert from `alert_after` on, unless the reason may last; never if `alert_after` is zero.
    #[must_use]
    pub fn of(
        record: &HoldRecord,
        reason: HoldReason,
        now: Timestamp,
        alert_after: Seconds,
    ) -> Self {
        let seconds = now.duration_since(record.since).as_secs_f64().max(0.0);
        let seconds = Seconds::new(seconds).unwrap_or(Seconds::ZERO);
        Self {
            since: record.since,
            seconds,
            runs: record.runs,
            alert: !reason.may_last() && alert_after > Seconds::ZERO && seconds >= alert_after,
        }
    }

    /// Whether this is the first run that holds for the reason.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.runs <= 1
    }
}

impl fmt::Display for HeldSince {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_first() {
            return f.write_str("the first run that holds for this reason");
        }
        write!(
            f,
            "held for this reason for {}, in {} consecutive runs since {:.0}",
            Rounded(self.seconds),
            self.runs,
            self.since
        )?;
        if self.alert {
            f.write_str("; it needs an operator")?;
        }
        Ok(())
    }
}

/// A duration in its largest unit, rounded down: days from two days on.
struct Rounded(Seconds);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.to_duration().as_secs();
        let (number, unit) = match seconds {
            0..120 => (seconds, "s"),
            120..7_200 => (seconds / 60, "min"),
            7_200..172_800 => (seconds / 3_600, "h"),
            _ => (seconds / 86_400, "days"),
        };
        write!(f, "{number} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ROLLOUT: HoldReason = HoldReason::ROLLOUT_IN_PROGRESS;
    const DAY: Seconds = Seconds::whole(86_400);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn record(reason: HoldReason, since: Timestamp, runs: u32) -> HoldRecord {
        HoldRecord {
            reason: reason.as_str().to_owned(),
            since,
            runs,
        }
    }

    #[rstest]
    #[case::no_record(None, record(ROLLOUT, at(600), 1))]
    #[case::the_same_reason(Some(record(ROLLOUT, at(0), 3)), record(ROLLOUT, at(0), 4))]
    #[case::another_reason(
        Some(record(HoldReason::FROZEN, at(0), 3)),
        record(ROLLOUT, at(600), 1)
    )]
    #[case::record_of_the_future(Some(record(ROLLOUT, at(601), 3)), record(ROLLOUT, at(600), 4))]
    #[case::countless(
        Some(record(ROLLOUT, at(0), u32::MAX)),
        record(ROLLOUT, at(0), u32::MAX)
    )]
    fn counts_runs_with_the_same_reason(
        #[case] previous: Option<HoldRecord>,
        #[case] next: HoldRecord,
    ) {
        assert_eq!(HoldRecord::next(previous.as_ref(), ROLLOUT, at(600)), next);
    }

    #[rstest]
    #[case::before(ROLLOUT, 86_399, DAY, false)]
    #[case::after(ROLLOUT, 86_400, DAY, true)]
    #[case::blind(HoldReason::METRICS_PARTIAL, 90_000, DAY, true)]
    #[case::nothing_to_do(HoldReason::WITHIN_TOLERANCE, 900_000, DAY, false)]
    #[case::operators_freeze(HoldReason::FROZEN, 900_000, DAY, false)]
    #[case::switched_off(ROLLOUT, 900_000, Seconds::ZERO, false)]
    fn alerts_if_an_operator_is_needed(
        #[case] reason: HoldReason,
        #[case] seconds: i64,
        #[case] alert_after: Seconds,
        #[case] alert: bool,
    ) {
        let record = record(reason, at(0), 9);
        let held = HeldSince::of(&record, reason, at(seconds), alert_after);
        assert_eq!(held.alert, alert);
        assert_eq!(held.to_string().contains("operator"), alert);
    }

    #[test]
    fn every_reason_of_missing_data_alerts() {
        for reason in HoldReason::all().filter(|reason| reason.means_missing_data()) {
            assert!(!reason.may_last(), "{reason}");
        }
    }

    #[rstest]
    #[case(1, 0, "the first run that holds for this reason")]
    #[case(
        2,
        119,
        "held for this reason for 119 s, in 2 consecutive runs since 2023-11-14T22:13:20Z"
    )]
    #[case(
        9,
        7_199,
        "held for this reason for 119 min, in 9 consecutive runs since 2023-11-14T22:13:20Z"
    )]
    #[case(
        99,
        172_799,
        "held for this reason for 47 h, in 99 consecutive runs since 2023-11-14T22:13:20Z"
    )]
    #[case(
        999,
        172_800,
        "held for this reason for 2 days, in 999 consecutive runs since 2023-11-14T22:13:20Z"
    )]
    fn message_has_duration_and_runs(
        #[case] runs: u32,
        #[case] seconds: i64,
        #[case] message: &str,
    ) {
        let record = record(ROLLOUT, at(0), runs);
        let held = HeldSince::of(&record, ROLLOUT, at(seconds), Seconds::ZERO);
        assert_eq!(held.to_string(), message);
    }
}
