//! Check: no annotation of the workload asks not to act.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::Pause;

/// No annotation of the workload asks not to act. Recorded only if one does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotPaused {
    /// The operator's order.
    pub pause: Pause,
}

impl HoldReason {
    /// An annotation of the workload asks not to act.
    pub const PAUSED: Self = Self::new(
        "paused",
        "an annotation of the workload asks not to act",
        "nothing: runs act again once the pause is over; `rebalancer resume` ends it",
    )
    .that_may_last();

    /// An annotation of the workload that may ask not to act cannot be understood.
    pub const PAUSE_INVALID: Self = Self::new(
        "pause_invalid",
        "an annotation of the workload that may ask not to act has an invalid value",
        "correct or remove the annotation that the message names",
    );
}

impl Rule for NotPaused {
    const REASONS: &'static [HoldReason] = &[HoldReason::PAUSED, HoldReason::PAUSE_INVALID];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let pause = input.snapshot.data().pause.clone()?;
        Some((Verdict::Fail, Self { pause }))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: match self.pause.problem {
                None => HoldReason::PAUSED,
                Some(_) => HoldReason::PAUSE_INVALID,
            },
            missing_data: false,
            untrusted_loads: false,
        }
    }
}

impl fmt::Display for NotPaused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pause.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::{HoldReason, Policy, Snapshot, decide};
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::frozen(json!({"annotation": "rebalancer.io/freeze: true"}), Some(HoldReason::PAUSED))]
    #[case::invalid(
        json!({"annotation": "rebalancer.io/paused-until: noon", "problem": "is not a time"}),
        Some(HoldReason::PAUSE_INVALID)
    )]
    #[case::absent(Value::Null, None)]
    fn annotation_holds(#[case] pause: Value, #[case] reason: Option<HoldReason>) {
        let snapshot = json!({"target": 0.7, "pause": pause, "pods": [
            {"name": "a", "load": 1.2}, {"name": "b", "load": 1.1}, {"name": "c", "load": 0.3},
            {"name": "d", "load": 0.3}, {"name": "e", "load": 0.3}, {"name": "f", "load": 0.3},
            {"name": "g", "load": 0.3},
        ]});
        let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
        let decision = decide(&snapshot, &Policy::default());
        assert_eq!(decision.hold_reason(), reason, "{}", decision.message);
    }
}
