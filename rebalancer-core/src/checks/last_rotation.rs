//! Check: the last rotation helped, or is long enough ago to try again.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::history::{RotationOutcome, back_off};
use crate::hold_reason::HoldReason;
use crate::model::Seconds;
use crate::policy::{PolicyField, Strategy};

/// The last rotation helped, or is long enough ago to try again. All imbalances are over the
/// eligible pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastRotationHelped {
    /// The imbalance now.
    pub imbalance: Option<f64>,
    /// The imbalance before the last rotation.
    pub before: Option<f64>,
    /// The imbalance that the last rotation was expected to lead to.
    pub hoped: Option<f64>,
    /// The 90 % interval of the forecast, if there was a forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<(f64, f64)>,
    /// Why the last hand-over of an assignment, or the last rejoin, was abandoned; absent if it was
    /// not, or if pods were evicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<String>,
    /// The strategy of the last hand-over or rejoin, if it was abandoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Number of consecutive rotations that did not help, the last one included.
    #[serde(rename = "futile")]
    pub ineffective: u32,
    /// Seconds since the last rotation.
    pub since_seconds: Option<Seconds>,
    /// Seconds to wait after a rotation that did not help.
    pub wait_seconds: Seconds,
}

impl HoldReason {
    /// The last rotation did not help, and it is too early to try again.
    pub const ROTATION_DID_NOT_HELP: Self = Self::new(
        "rotation_did_not_help",
        "the last rotation did not help, and it is too early to try again",
        "find out why evictions do not help: `rebalancer forecast` shows it if the consumer group \
         is known; the message says why a hand-over or a rejoin was abandoned",
    )
    .that_may_last()
    .governed_by(&[PolicyField::CooldownSeconds, PolicyField::IgnoreHistory]);
}

impl Rule for LastRotationHelped {
    const REASONS: &'static [HoldReason] = &[HoldReason::ROTATION_DID_NOT_HELP];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let policy = input.policy;
        let last = input.snapshot.data().last_rotation.as_ref();
        let effect = last
            .zip(input.imbalance)
            .map(|(last, now)| last.effect(now));
        let ineffective = effect.map_or(0, |effect| effect.ineffective);
        let wait_seconds = back_off(policy.cooldown_seconds, ineffective);
        let since_seconds = input.snapshot.since_last_rotation();
        let verdict = match (since_seconds, effect) {
            (Some(since), Some(effect)) if input.acts() && !policy.ignore_history => {
                Verdict::pass_if(effect.helped || since >= wait_seconds)
            }
            (Some(_) | None, Some(_) | None) => Verdict::Skipped,
        };
        Some((
            verdict,
            Self {
                imbalance: input.imbalance,
                before: last.map(|last| last.imbalance_before),
                hoped: last.map(|last| last.imbalance_hoped),
                forecast: last.and_then(|last| last.imbalance_range),
                abandoned: last.and_then(|last| last.abandoned.clone()),
                strategy: last
                    .filter(|last| last.abandoned.is_some())
                    .map(|last| last.strategy),
                ineffective,
                since_seconds,
                wait_seconds,
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::ROTATION_DID_NOT_HELP,
            missing_data: false,
            untrusted_loads: false,
        }
    }
}

impl LastRotationHelped {
    /// Whether there was a rotation whose effect can be evaluated.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.imbalance.is_some() && self.before.is_some() && self.since_seconds.is_some()
    }
}

impl fmt::Display for LastRotationHelped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(now), Some(before), Some(hoped), Some(since)) =
            (self.imbalance, self.before, self.hoped, self.since_seconds)
        else {
            return f.write_str("no previous rotation to evaluate");
        };
        let helped = if self.ineffective == 0 {
            "helped"
        } else {
            "did not help"
        };
        let outcome = RotationOutcome {
            before,
            hoped,
            forecast: self.forecast,
            now,
        };
        let since = since.rounded();
        match &self.abandoned {
            Some(reason) if self.ineffective > 0 => {
                let what = if self.strategy == Some(Strategy::Rejoin) {
                    "rejoin"
                } else {
                    "hand-over of an assignment"
                };
                write!(f, "the last {what}, {since} ago, was abandoned: {reason}")?;
            }
            Some(_) | None => write!(f, "the last rotation, {since} ago, {helped}: {outcome}")?,
        }
        if self.ineffective > 0 {
            let wait = self.wait_seconds.rounded();
            write!(f, "; the next is allowed {wait} after it")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::{Value, json};

    /// A snapshot whose last rotation is `seconds` ago, after `ineffective` rotations that did not
    /// help.
    pub(in crate::checks) fn rotated(seconds: i64, ineffective: u32) -> Value {
        let time = jiff::Timestamp::from_second(1_800_000_000 - seconds).unwrap();
        json!({
            "taken_at": "2027-01-15T08:00:00Z",
            "last_rotation": {
                "time": time.to_string(), "victims": ["a"], "imbalance_before": 2.0,
                "imbalance_hoped": 1.5, "strategy": "rotate-outliers", "futile": ineffective,
            },
            "pods": [],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::{check_plan, plan};
    use super::testing::rotated;
    use super::*;
    use crate::checks::{Check, CheckDetails};
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn check(
        snapshot: &Value,
        imbalance: Option<f64>,
        planned: bool,
        ignore_history: bool,
    ) -> Check {
        let policy = Policy {
            ignore_history,
            ..Policy::default()
        };
        let plan = planned.then(|| plan(1, 1));
        check_plan(
            CheckDetails::LastRotation,
            snapshot,
            &policy,
            plan.as_ref(),
            imbalance,
        )
    }

    #[rstest]
    #[case::helped(rotated(301, 0), Some(1.9), true, false, Verdict::Pass)]
    #[case::did_not_help(rotated(301, 0), Some(2.0), true, false, Verdict::Fail)]
    #[case::two_cooldowns_later(rotated(600, 0), Some(2.0), true, false, Verdict::Pass)]
    #[case::second_in_a_row(rotated(600, 1), Some(2.0), true, false, Verdict::Fail)]
    #[case::a_day_later(rotated(86_400, 60), Some(9.0), true, false, Verdict::Pass)]
    #[case::no_plan(rotated(301, 0), Some(2.0), false, false, Verdict::Skipped)]
    #[case::history_ignored(rotated(301, 0), Some(2.0), true, true, Verdict::Skipped)]
    #[case::imbalance_unknown(rotated(301, 0), None, true, false, Verdict::Skipped)]
    #[case::no_rotation(json!({"pods": []}), Some(2.0), true, false, Verdict::Skipped)]
    fn ineffective_rotations_are_repeated_ever_later(
        #[case] snapshot: Value,
        #[case] imbalance: Option<f64>,
        #[case] planned: bool,
        #[case] ignore_history: bool,
        #[case] verdict: Verdict,
    ) {
        let check = check(&snapshot, imbalance, planned, ignore_history);
        assert_eq!(check.verdict, verdict, "{}", check.message);
    }

    #[test]
    fn message_compares_expectation_and_outcome() {
        let check = check(&rotated(301, 0), Some(2.1), true, false);
        assert_eq!(
            check.message,
            "the last rotation, 301 s ago, did not help: the imbalance (max/mean) was 2.00 before \
             it, 1.50 was expected, and it is 2.10 now; the next is allowed 600 s after it"
        );
    }

    #[rstest]
    #[case::assign(
        "assign",
        "the last hand-over of an assignment, 301 s ago, was abandoned: slow"
    )]
    #[case::rejoin("rejoin", "the last rejoin, 301 s ago, was abandoned: slow")]
    fn message_says_what_was_abandoned(#[case] strategy: &str, #[case] beginning: &str) {
        let mut snapshot = rotated(301, 0);
        snapshot["last_rotation"]["strategy"] = strategy.into();
        snapshot["last_rotation"]["abandoned"] = "slow".into();
        let check = check(&snapshot, Some(2.1), true, false);
        assert!(check.message.starts_with(beginning), "{}", check.message);
    }

    #[rstest]
    #[case::within(1.6, "within the forecast (1.40 to 1.80)")]
    #[case::better(1.2, "outside the forecast (1.40 to 1.80)")]
    fn message_compares_forecast_and_outcome(#[case] now: f64, #[case] ending: &str) {
        let mut snapshot = rotated(301, 0);
        snapshot["last_rotation"]["imbalance_range"] = json!([1.4, 1.8]);
        let check = check(&snapshot, Some(now), true, false);
        assert!(check.message.contains("helped"), "{}", check.message);
        assert!(check.message.ends_with(ending), "{}", check.message);
    }
}
