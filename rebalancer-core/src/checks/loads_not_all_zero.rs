//! Check: at least one measured pod has a non-zero load.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pod::{Ineligible, LoadFacts, untrusted_load};
use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::Load;

/// At least one measured pod has a non-zero load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadsNotAllZero {
    /// Number of ready pods with a load that is trusted, or not trusted only because it is 0.
    pub measured: usize,
    /// Number of them whose load is exactly zero.
    pub zero: usize,
}

impl HoldReason {
    /// Every load is exactly zero.
    pub const LOADS_ALL_ZERO: Self = Self::new(
        "loads_all_zero",
        "every load is exactly 0: the counters have stopped",
        "find out why the counters stand still, for example a wrong query or a broken exporter",
    )
    .missing_data();
}

impl LoadsNotAllZero {
    /// Whether the rule is satisfied; `None` for less than two pods, since a single pod may have
    /// no work.
    fn satisfied(&self) -> Option<bool> {
        (self.measured >= 2).then_some(self.zero < self.measured)
    }
}

impl Rule for LoadsNotAllZero {
    const REASONS: &'static [HoldReason] = &[HoldReason::LOADS_ALL_ZERO];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let facts = LoadFacts::of(input.snapshot);
        let mut numbers = Self {
            measured: 0,
            zero: 0,
        };
        for pod in input.snapshot.pods() {
            let trusted = match untrusted_load(pod, input.policy, facts) {
                None | Some(Ineligible::CounterStopped { .. }) => true,
                Some(_) => false,
            };
            if pod.serves() && trusted {
                numbers.measured += 1;
                numbers.zero += usize::from(pod.load() == Some(Load::ZERO));
            }
        }
        let verdict = numbers
            .satisfied()
            .map_or(Verdict::Skipped, Verdict::pass_if);
        Some((verdict, numbers))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::LOADS_ALL_ZERO,
            missing_data: true,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for LoadsNotAllZero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measured, zero } = self;
        if self.satisfied() == Some(false) {
            write!(
                f,
                "all {measured} measured pods have a load of exactly 0: the counters have stopped \
                 (an idle consumer still uses some CPU)"
            )
        } else {
            write!(
                f,
                "{zero} of {measured} measured pods have a load of exactly 0"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::some_zero(json!([0.0, 0.0, 0.001]), Verdict::Pass, (3, 2))]
    #[case::all_zero(json!([0.0, 0.0]), Verdict::Fail, (2, 2))]
    #[case::negative_zero(json!([-0.0, 0.0]), Verdict::Fail, (2, 2))]
    #[case::single_pod(json!([0.0]), Verdict::Skipped, (1, 1))]
    #[case::single_measured_pod(json!([0.0, null]), Verdict::Skipped, (1, 1))]
    #[case::no_pods(json!([]), Verdict::Skipped, (0, 0))]
    fn fails_if_every_trusted_load_is_zero(
        #[case] loads: Value,
        #[case] verdict: Verdict,
        #[case] counts: (usize, usize),
        #[values(false, true)] custom_load: bool,
    ) {
        let mut pods: Vec<Value> = loads
            .as_array()
            .unwrap()
            .iter()
            .zip('a'..)
            .map(|(load, name)| json!({"name": name.to_string(), "load": load}))
            .collect();
        // The loads of these two are not trusted.
        pods.push(json!({"name": "stale", "load": 1.0, "sample_age_seconds": 151}));
        pods.push(json!({"name": "unready", "load": 1.0, "ready": false}));
        let snapshot = json!({"custom_load": custom_load, "pods": pods});
        let check = check_snapshot(CheckDetails::LoadsNotAllZero, &snapshot, &Policy::default());
        assert_eq!(check.verdict, verdict, "{}", check.message);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["name"], "loads_not_all_zero");
        let (measured, zero) = counts;
        assert_eq!(
            (&json["measured"], &json["zero"]),
            (&measured.into(), &zero.into())
        );
    }
}
