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
    /// The consecutive runs up to the last one that held for any reason that may not last; absent
    /// if this reason may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any_reason: Option<HoldRecordRuns>,
}

/// Consecutive runs that held, in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRecordRuns {
    /// The time of the first of the runs, by the clock of the cluster.
    pub since: Timestamp,
    /// The number of the runs, at least 1.
    pub runs: u32,
}

impl HoldRecordRuns {
    /// These runs and one more at the time `now`; that one alone after `None`.
    fn and_one(previous: Option<Self>, now: Timestamp) -> Self {
        Self {
            // Clocks differ a little.
            since: previous.map_or(now, |previous| previous.since.min(now)),
            runs: previous.map_or(1, |previous| previous.runs.saturating_add(1)),
        }
    }
}

impl HoldRecord {
    /// The record of a run that holds for `reason` at the time `now`, after a run that left
    /// `previous`.
    #[must_use]
    pub fn next(previous: Option<&Self>, reason: HoldReason, now: Timestamp) -> Self {
        let same = previous.filter(|previous| previous.reason == reason.as_str());
        let of_same = same.map(Self::runs_with_the_reason);
        let HoldRecordRuns { since, runs } = HoldRecordRuns::and_one(of_same, now);
        // A version of the program that did not keep `any_reason` may have left the record.
        let of_any = previous
            .and_then(|previous| previous.any_reason)
            .or(of_same);
        Self {
            reason: reason.as_str().to_owned(),
            since,
            runs,
            any_reason: (!reason.may_last()).then(|| HoldRecordRuns::and_one(of_any, now)),
        }
    }

    fn runs_with_the_reason(&self) -> HoldRecordRuns {
        HoldRecordRuns {
            since: self.since,
            runs: self.runs,
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
    /// The consecutive runs up to this one that held for any reason that may not last; absent if
    /// all of them held for this reason, or if this reason may last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any_reason: Option<HeldForAnyReason>,
    /// Whether runs have held for longer than is expected without an operator, so that the run
    /// exits with 1.
    pub alert: bool,
}

/// The time for which runs have held for reasons that may not last, whatever their order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeldForAnyReason {
    /// The time of the first of the runs, by the clock of the cluster.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub since: Timestamp,
    /// The time from then until this run, in seconds.
    pub seconds: Seconds,
    /// The number of the runs, this one included.
    pub runs: u32,
}

impl HeldSince {
    /// The time for which `record`, that of a hold for `reason`, has lasted at the time `now`. It
    /// is an alert once runs have held for `alert_after`, for this reason or for several that
    /// alternate, none of which may last; never if `alert_after` is zero.
    #[must_use]
    pub fn of(
        record: &HoldRecord,
        reason: HoldReason,
        now: Timestamp,
        alert_after: Seconds,
    ) -> Self {
        let until_now = |since| {
            let seconds = now.duration_since(since).as_secs_f64().max(0.0);
            Seconds::new(seconds).unwrap_or(Seconds::ZERO)
        };
        let seconds = until_now(record.since);
        let any_reason = record.any_reason.map(|held| HeldForAnyReason {
            since: held.since,
            seconds: until_now(held.since),
            runs: held.runs,
        });
        let longest = any_reason.map_or(seconds, |held| held.seconds);
        Self {
            since: record.since,
            seconds,
            runs: record.runs,
            any_reason: any_reason.filter(|held| held.runs > record.runs),
            alert: !reason.may_last() && alert_after > Seconds::ZERO && longest >= alert_after,
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
            f.write_str("the first run that holds for this reason")?;
        } else {
            write!(
                f,
                "held for this reason for {}, in {} consecutive runs since {:.0}",
                Rounded(self.seconds),
                self.runs,
                self.since
            )?;
        }
        if let Some(HeldForAnyReason {
            since,
            seconds,
            runs,
        }) = self.any_reason
        {
            write!(
                f,
                ", and for alternating reasons for {}, in {runs} consecutive runs since {since:.0}",
                Rounded(seconds)
            )?;
        }
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
            any_reason: (!reason.may_last()).then_some(HoldRecordRuns { since, runs }),
        }
    }

    /// A record with runs before it that held for other reasons.
    fn after_others(record: HoldRecord, since: Timestamp, runs: u32) -> HoldRecord {
        HoldRecord {
            any_reason: Some(HoldRecordRuns { since, runs }),
            ..record
        }
    }

    #[rstest]
    #[case::no_record(None, record(ROLLOUT, at(600), 1))]
    #[case::the_same_reason(Some(record(ROLLOUT, at(0), 3)), record(ROLLOUT, at(0), 4))]
    #[case::another_reason_that_may_last(
        Some(record(HoldReason::FROZEN, at(0), 3)),
        record(ROLLOUT, at(600), 1)
    )]
    #[case::another_reason(
        Some(record(HoldReason::MINIMUM_PODS, at(0), 3)),
        after_others(record(ROLLOUT, at(600), 1), at(0), 4)
    )]
    #[case::alternating_reasons(
        Some(after_others(record(ROLLOUT, at(300), 2), at(0), 5)),
        after_others(record(ROLLOUT, at(300), 3), at(0), 6)
    )]
    #[case::record_of_the_future(Some(record(ROLLOUT, at(601), 3)), record(ROLLOUT, at(600), 4))]
    #[case::countless(
        Some(record(ROLLOUT, at(0), u32::MAX)),
        record(ROLLOUT, at(0), u32::MAX)
    )]
    #[case::of_an_older_version(
        Some(HoldRecord { any_reason: None, ..record(ROLLOUT, at(0), 3) }),
        record(ROLLOUT, at(0), 4)
    )]
    fn counts_consecutive_runs(#[case] previous: Option<HoldRecord>, #[case] next: HoldRecord) {
        assert_eq!(HoldRecord::next(previous.as_ref(), ROLLOUT, at(600)), next);
    }

    #[test]
    fn reason_that_may_last_ends_the_sequence() {
        let previous = after_others(record(ROLLOUT, at(300), 2), at(0), 5);
        let frozen = HoldRecord::next(Some(&previous), HoldReason::FROZEN, at(600));
        assert_eq!(frozen, record(HoldReason::FROZEN, at(600), 1));
    }

    #[test]
    fn record_of_an_older_version_is_read() {
        let text = r#"{"reason": "frozen", "since": "2023-11-14T22:13:20Z", "runs": 3}"#;
        let read: HoldRecord = serde_json::from_str(text).unwrap();
        assert_eq!(read, record(HoldReason::FROZEN, at(0), 3));
    }

    /// Reasons that may not last alert together, whatever their order.
    #[test]
    fn alternating_reasons_alert() {
        let reasons = [ROLLOUT, HoldReason::GROUP_NOT_SETTLED, ROLLOUT, ROLLOUT];
        let hours = 0..25;
        let mut last: Option<HoldRecord> = None;
        for (hour, reason) in hours.zip(reasons.into_iter().cycle()) {
            let now = at(hour * 3600);
            let record = HoldRecord::next(last.as_ref(), reason, now);
            let held = HeldSince::of(&record, reason, now, DAY);
            assert_eq!(held.alert, hour == 24, "{held}");
            last = Some(record);
        }
        let held = HeldSince::of(&last.unwrap(), ROLLOUT, at(86_400), DAY);
        assert_eq!(
            held.to_string(),
            "held for this reason for 2 h, in 3 consecutive runs since 2023-11-15T20:13:20Z, and for \
             alternating reasons for 24 h, in 25 consecutive runs since 2023-11-14T22:13:20Z; it \
             needs an operator"
        );
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
