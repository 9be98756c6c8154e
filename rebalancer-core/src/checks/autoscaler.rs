//! Check: no autoscaler is scaling the workload.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;

/// No autoscaler is scaling the workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AutoscalerSteady {
    /// Current and desired replicas of the autoscaler that is scaling, or else of the first.
    pub scaling: Option<Scaling>,
}

/// Replicas of an autoscaler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Scaling {
    /// The autoscaler's name.
    pub autoscaler: String,
    /// `status.currentReplicas`.
    pub current: u32,
    /// `status.desiredReplicas`.
    pub desired: u32,
}

impl HoldReason {
    /// An autoscaler is scaling the workload.
    pub const AUTOSCALER_SCALING: Self = Self::new(
        "autoscaler_scaling",
        "the autoscaler wants another number of replicas than there are",
        "wait until the autoscaler is steady",
    );
}

impl Rule for AutoscalerSteady {
    const REASONS: &'static [HoldReason] = &[HoldReason::AUTOSCALER_SCALING];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let mut reported = input
            .snapshot
            .data()
            .autoscalers
            .iter()
            .filter_map(|found| {
                Some(Scaling {
                    autoscaler: found.name.clone(),
                    current: found.current_replicas?,
                    desired: found.desired_replicas?,
                })
            });
        let Some(first) = reported.next() else {
            return Some((Verdict::Skipped, Self { scaling: None }));
        };
        let active = std::iter::once(first.clone())
            .chain(reported)
            .find(|scaling| scaling.current != scaling.desired);
        Some((
            Verdict::pass_if(active.is_none()),
            Self {
                scaling: Some(active.unwrap_or(first)),
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::AUTOSCALER_SCALING,
            missing_data: false,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for AutoscalerSteady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Scaling {
            autoscaler,
            current,
            desired,
        }) = &self.scaling
        else {
            return f.write_str("no autoscaler reports its replicas");
        };
        if current == desired {
            write!(f, "{autoscaler} stays at {current} replicas")
        } else {
            write!(
                f,
                "{autoscaler} is scaling from {current} to {desired} replicas"
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
    #[case::none(json!([]), Verdict::Skipped, None)]
    #[case::not_reported(json!([{"name": "a", "current_replicas": 3}]), Verdict::Skipped, None)]
    #[case::steady(
        json!([{"name": "a", "current_replicas": 3, "desired_replicas": 3}]),
        Verdict::Pass,
        Some("a")
    )]
    #[case::scaling_up(
        json!([{"name": "a", "current_replicas": 3, "desired_replicas": 4}]),
        Verdict::Fail,
        Some("a")
    )]
    #[case::scaling_down(
        json!([{"name": "a", "current_replicas": 3, "desired_replicas": 2}]),
        Verdict::Fail,
        Some("a")
    )]
    #[case::one_of_several(
        json!([
            {"name": "a", "current_replicas": 3, "desired_replicas": 3},
            {"name": "b"},
            {"name": "c", "current_replicas": 3, "desired_replicas": 2},
        ]),
        Verdict::Fail,
        Some("c")
    )]
    fn fails_while_any_autoscaler_is_scaling(
        #[case] autoscalers: Value,
        #[case] verdict: Verdict,
        #[case] named: Option<&str>,
    ) {
        let snapshot = json!({"autoscalers": autoscalers, "pods": []});
        let check = check_snapshot(CheckDetails::Autoscaler, &snapshot, &Policy::default());
        assert_eq!(check.verdict, verdict);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["scaling"]["autoscaler"].as_str(), named);
    }
}
