//! The checks on what is outside of the workload itself: other runs, freeze windows, what was done
//! before, and how much may be done now.

use super::workload::{Check, Finding, Verdict};
use crate::history::back_off;
use crate::policy::Policy;
use crate::snapshot::Snapshot;

pub(crate) fn one_at_a_time(snapshot: &Snapshot) -> Check {
    let other_run = snapshot.data().other_run.clone();
    Check::new(
        Verdict::pass_if(other_run.is_none()),
        Finding::OneAtATime { other_run },
    )
}

pub(crate) fn freeze(snapshot: &Snapshot) -> Check {
    let window = snapshot.data().frozen.clone();
    Check::new(
        Verdict::pass_if(window.is_none()),
        Finding::Freeze { window },
    )
}

pub(crate) fn cooldown(snapshot: &Snapshot, policy: &Policy) -> Check {
    let cooldown_seconds = policy.cooldown_seconds;
    let since_seconds = snapshot.since_last_rotation();
    Check::new(
        match since_seconds {
            Some(since) if !policy.ignore_history => Verdict::pass_if(since >= cooldown_seconds),
            Some(_) | None => Verdict::Skipped,
        },
        Finding::Cooldown {
            since_seconds,
            cooldown_seconds,
        },
    )
}

/// Holds a rotation like the last one as long as that one turns out not to have helped.
/// `imbalance` is the present one; without a plan there is nothing to hold.
pub(crate) fn last_rotation(
    snapshot: &Snapshot,
    imbalance: Option<f64>,
    planned: bool,
    policy: &Policy,
) -> Check {
    let last = snapshot.data().last_rotation.as_ref();
    let judged = last.zip(imbalance).map(|(last, now)| last.judge(now));
    let ineffective = judged.map_or(0, |judged| judged.ineffective);
    let wait_seconds = back_off(policy.cooldown_seconds, ineffective);
    let since_seconds = snapshot.since_last_rotation();
    let verdict = match (since_seconds, judged) {
        (Some(since), Some(judged)) if planned && !policy.ignore_history => {
            Verdict::pass_if(judged.helped || since >= wait_seconds)
        }
        (Some(_) | None, Some(_) | None) => Verdict::Skipped,
    };
    Check::new(
        verdict,
        Finding::LastRotation {
            imbalance,
            before: last.map(|last| last.imbalance_before),
            hoped: last.map(|last| last.imbalance_hoped),
            forecast: last.and_then(|last| last.imbalance_range),
            ineffective,
            since_seconds,
            wait_seconds,
        },
    )
}

pub(crate) fn eviction_limit(planned: bool, policy: &Policy) -> Check {
    let left = policy.max_evictions;
    Check::new(
        match left {
            Some(left) if planned => Verdict::pass_if(left > 0),
            Some(_) | None => Verdict::Skipped,
        },
        Finding::EvictionLimit { left },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn snapshot(value: Value) -> Snapshot {
        serde_json::from_value(value).unwrap()
    }

    /// The last rotation was so many seconds ago, and so many before it had not helped.
    fn rotated(seconds: i64, ineffective: u32) -> Snapshot {
        let time = jiff::Timestamp::from_second(1_800_000_000 - seconds).unwrap();
        snapshot(json!({
            "taken_at": "2027-01-15T08:00:00Z",
            "last_rotation": {
                "time": time.to_string(), "victims": ["a"], "imbalance_before": 2.0,
                "imbalance_hoped": 1.5, "strategy": "rotate-outliers", "futile": ineffective,
            },
            "pods": [],
        }))
    }

    fn policy(ignore_history: bool) -> Policy {
        Policy {
            ignore_history,
            ..Policy::default()
        }
    }

    #[test]
    fn another_run_is_named() {
        let check = one_at_a_time(&snapshot(json!({
            "other_run": {"identity": "pod-7", "expires_seconds": 42}, "pods": []
        })));
        assert_eq!(check.verdict, Verdict::Fail);
        assert_eq!(
            check.message,
            "another run is acting on this workload: pod-7 (its lease ends in 42 s unless renewed)"
        );
        let check = one_at_a_time(&snapshot(json!({"pods": []})));
        assert_eq!(check.verdict, Verdict::Pass);
    }

    #[test]
    fn a_freeze_window_is_named() {
        let check = freeze(&snapshot(
            json!({"frozen": "* 9-17 * * 1-5 UTC", "pods": []}),
        ));
        assert_eq!(check.verdict, Verdict::Fail);
        assert_eq!(check.message, "frozen by FREEZE=* 9-17 * * 1-5 UTC");
        assert_eq!(
            freeze(&snapshot(json!({"pods": []}))).verdict,
            Verdict::Pass
        );
    }

    #[rstest]
    #[case::lately(rotated(299, 0), false, Verdict::Fail)]
    #[case::long_enough_ago(rotated(300, 0), false, Verdict::Pass)]
    #[case::by_a_clock_ahead(rotated(-60, 0), false, Verdict::Fail)]
    #[case::ignored(rotated(1, 0), true, Verdict::Skipped)]
    #[case::never(snapshot(json!({"pods": []})), false, Verdict::Skipped)]
    fn a_rotation_is_given_its_time(
        #[case] snapshot: Snapshot,
        #[case] ignore: bool,
        #[case] verdict: Verdict,
    ) {
        assert_eq!(cooldown(&snapshot, &policy(ignore)).verdict, verdict);
    }

    #[rstest]
    #[case::helped(rotated(301, 0), Some(1.9), true, false, Verdict::Pass)]
    #[case::did_not_help(rotated(301, 0), Some(2.0), true, false, Verdict::Fail)]
    #[case::two_cooldowns_later(rotated(600, 0), Some(2.0), true, false, Verdict::Pass)]
    #[case::again(rotated(600, 1), Some(2.0), true, false, Verdict::Fail)]
    #[case::a_day_later(rotated(86_400, 60), Some(9.0), true, false, Verdict::Pass)]
    #[case::no_plan(rotated(301, 0), Some(2.0), false, false, Verdict::Skipped)]
    #[case::ignored(rotated(301, 0), Some(2.0), true, true, Verdict::Skipped)]
    #[case::not_known(rotated(301, 0), None, true, false, Verdict::Skipped)]
    fn what_did_not_help_is_not_done_again_soon(
        #[case] snapshot: Snapshot,
        #[case] imbalance: Option<f64>,
        #[case] planned: bool,
        #[case] ignore: bool,
        #[case] verdict: Verdict,
    ) {
        let check = last_rotation(&snapshot, imbalance, planned, &policy(ignore));
        assert_eq!(check.verdict, verdict, "{}", check.message);
    }

    #[test]
    fn the_hold_says_what_was_hoped_for_and_what_came() {
        let check = last_rotation(&rotated(301, 0), Some(2.1), true, &policy(false));
        assert_eq!(
            check.message,
            "the last rotation, 301 s ago, did not help: the most loaded pod had 2.00 × the mean \
             before it, 1.50 × was hoped for, and it has 2.10 × now; the next is tried 600 s \
             after it"
        );
    }

    #[rstest]
    #[case::came_true(1.6, "helped", "as was forecast (1.40 to 1.80 ×)")]
    #[case::better(1.2, "helped", "outside of what was forecast (1.40 to 1.80 ×)")]
    fn what_came_of_a_forecast_is_told(#[case] now: f64, #[case] helped: &str, #[case] says: &str) {
        let mut data = rotated(301, 0).data().clone();
        let last = data.last_rotation.as_mut().unwrap();
        last.imbalance_range = Some((1.4, 1.8));
        let snapshot = Snapshot::new(data).unwrap();
        let check = last_rotation(&snapshot, Some(now), true, &policy(false));
        assert!(check.message.contains(helped), "{}", check.message);
        assert!(check.message.ends_with(says), "{}", check.message);
    }

    #[rstest]
    #[case(None, true, Verdict::Skipped)]
    #[case(Some(2), true, Verdict::Pass)]
    #[case(Some(0), true, Verdict::Fail)]
    #[case(Some(0), false, Verdict::Skipped)]
    fn a_run_evicts_no_more_than_it_may(
        #[case] left: Option<usize>,
        #[case] planned: bool,
        #[case] verdict: Verdict,
    ) {
        let policy = Policy {
            max_evictions: left,
            ..Policy::default()
        };
        assert_eq!(eviction_limit(planned, &policy).verdict, verdict);
    }
}
