//! Check: a pod has been above the threshold for long enough.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::hot_pods::HotPods;
use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::{LoadUnit, Seconds};
use crate::policy::PolicyField;
use crate::wording::list_some;

/// A pod has been above the threshold for long enough to count as hot. Recorded only if a minimum
/// duration is configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HotLongEnough {
    /// Number of eligible pods above the threshold.
    pub above: usize,
    /// Number of those that have been above it for long enough.
    pub hot: usize,
    /// The required time above the threshold, in seconds.
    pub minimum_seconds: Seconds,
    /// The threshold.
    pub threshold: f64,
    /// Some of the pods above the threshold, each with the time for which it has been; absent if
    /// there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
}

impl HoldReason {
    /// Pods are above the threshold, but none has been for long enough.
    pub const HOT_TOO_BRIEFLY: Self = Self::new(
        "hot_too_briefly",
        "pods are above the threshold, but none has been for as long as required",
        "nothing: a later run acts if the load stays high; or require a shorter time",
    )
    .that_may_last()
    .governed_by(&[
        PolicyField::MinimumHotDurationSeconds,
        PolicyField::Tolerance,
    ]);
}

impl Rule for HotLongEnough {
    const REASONS: &'static [HoldReason] = &[HoldReason::HOT_TOO_BRIEFLY];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let HotPods {
            threshold,
            minimum,
            pods,
        } = input.hot?;
        let hot = pods.iter().filter(|pod| pod.above >= *minimum).count();
        let listed = pods
            .iter()
            .map(|pod| format!("{} for {}", pod.name, pod.above.rounded()));
        let verdict = if pods.is_empty() {
            Verdict::Skipped
        } else {
            // An imbalance above its tolerance is a reason to act without a hot pod.
            Verdict::pass_if(hot > 0 || input.acts())
        };
        Some((
            verdict,
            Self {
                above: pods.len(),
                hot,
                minimum_seconds: *minimum,
                threshold: *threshold,
                pods: (!pods.is_empty()).then(|| list_some(listed)),
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::HOT_TOO_BRIEFLY,
            missing_data: false,
            untrusted_loads: false,
        }
    }

    fn message(&self, unit: LoadUnit) -> String {
        let threshold = unit.amount(self.threshold);
        let required = self.minimum_seconds.rounded();
        match &self.pods {
            None => format!("no pod is above the threshold of {threshold}"),
            Some(pods) => format!(
                "{} of {} pods above the threshold of {threshold} have been for at least {required}: \
                 {pods}",
                self.hot, self.above
            ),
        }
    }
}

impl fmt::Display for HotLongEnough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(LoadUnit::Cores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::snapshot::Snapshot;
    use crate::{Decision, decide};
    use rstest::rstest;
    use serde_json::{Value, json};

    /// A decision that requires five minutes above the threshold of 1.05. Pods `a` and `b` are
    /// above it; their loads were `past`, one minute apart, the newest first.
    fn decision(past: &Value) -> Decision {
        let loads = [1.3, 1.2, 0.8, 0.6, 0.4, 0.3];
        let pods: Vec<Value> = loads
            .iter()
            .zip('a'..)
            .map(|(load, name)| json!({"name": name, "load": load}))
            .collect();
        let past = |name: &str| -> Vec<Value> {
            let loads = past[name].as_array().into_iter().flatten();
            loads
                .zip(1u32..)
                .map(|(load, minute)| json!({"age_seconds": 60 * minute, "load": load}))
                .collect()
        };
        let snapshot = json!({
            "target": 0.7, "pods": pods,
            "past_loads": {"step_seconds": 60, "pods": {"a": past("a"), "b": past("b")}},
        });
        let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
        let policy = Policy {
            minimum_pods: crate::model::MinimumPods::new(1).unwrap(),
            minimum_hot_duration_seconds: Some(Seconds::whole(300)),
            ..Policy::default()
        };
        decide(&snapshot, &policy)
    }

    fn victims(decision: &Decision) -> Vec<&str> {
        let plan = decision.plan().into_iter();
        let victims = plan.flat_map(|plan| plan.victims());
        victims.map(|victim| victim.name.as_str()).collect()
    }

    #[rstest]
    #[case::both(json!({"a": [1.2, 1.2, 1.2, 1.2, 1.2], "b": [1.2, 1.2, 1.2, 1.2, 1.2]}), &["a", "b", "f", "e"])]
    #[case::only_the_second(json!({"a": [1.2, 1.2, 0.7, 1.2, 1.2], "b": [1.2, 1.2, 1.2, 1.2, 1.2]}), &["b", "f", "e"])]
    #[case::none(json!({"a": [1.2, 1.2, 1.2, 1.2], "b": []}), &[])]
    fn only_pods_that_have_been_hot_for_long_are_relieved(
        #[case] past: Value,
        #[case] expected: &[&str],
    ) {
        let decision = decision(&past);
        assert_eq!(victims(&decision), expected, "{}", decision.message);
    }

    #[test]
    fn hold_has_the_duration_of_each_pod() {
        let decision = decision(&json!({"a": [1.2, 1.2, 1.2, 1.0], "b": []}));
        assert_eq!(decision.hold_reason(), Some(HoldReason::HOT_TOO_BRIEFLY));
        assert_eq!(
            decision.message,
            "0 of 2 pods above the threshold of 1.050 cores have been for at least 300 s: a for 180 s, \
             b for 0 s"
        );
    }
}
