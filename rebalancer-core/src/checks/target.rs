//! Check: the target is known.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::LoadUnit;
use crate::snapshot::{ResolvedTarget, TargetProblem};

/// The target is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TargetKnown {
    /// The target and its origin.
    pub target: Option<ResolvedTarget>,
    /// Why there is no target.
    pub problem: Option<TargetProblem>,
}

impl HoldReason {
    /// There is no target, or several that disagree.
    pub const TARGET_UNKNOWN: Self = Self::new(
        "target_unknown",
        "there is no target, or several that disagree",
        "set a fixed target, or create or name the autoscaler that defines it",
    )
    .missing_data();
}

impl HoldReason {
    /// The autoscaler that defines the target does not exist, because an operator paused it.
    pub const AUTOSCALER_PAUSED: Self = Self::new(
        "autoscaler_paused",
        "the autoscaler that defines the target is paused, so there is no target",
        "nothing, if scaling was paused on purpose; set a fixed target to even out the loads \
         meanwhile, or resume the object that the message names",
    )
    // A pause is the decision of an operator.
    .that_may_last();
}

impl Rule for TargetKnown {
    const REASONS: &'static [HoldReason] =
        &[HoldReason::TARGET_UNKNOWN, HoldReason::AUTOSCALER_PAUSED];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let verdict = match input.target {
            Ok(_) => Verdict::Pass,
            Err(_) if input.policy.needs_target() => Verdict::Fail,
            Err(_) => Verdict::Skipped,
        };
        Some((
            verdict,
            Self {
                target: input.target.as_ref().ok().cloned(),
                problem: input.target.as_ref().err().cloned(),
            },
        ))
    }

    fn failure(&self) -> Failure {
        let (reason, missing_data) = match &self.problem {
            Some(TargetProblem::AutoscalerPaused { .. }) => (HoldReason::AUTOSCALER_PAUSED, false),
            // Pods become eligible with time.
            Some(TargetProblem::NoEligiblePods) => (HoldReason::TARGET_UNKNOWN, false),
            Some(
                TargetProblem::NoAutoscaler
                | TargetProblem::NoCpuMetric { .. }
                | TargetProblem::Disagree { .. }
                | TargetProblem::NoRequest { .. }
                | TargetProblem::NotPositive { .. },
            )
            | None => (HoldReason::TARGET_UNKNOWN, true),
        };
        Failure {
            reason,
            missing_data,
            untrusted_loads: false,
        }
    }

    fn message(&self, unit: LoadUnit) -> String {
        match (&self.target, &self.problem) {
            (Some(target), _) => format!(
                "the target is {} per pod ({})",
                unit.amount(target.cores.get()),
                target.origin
            ),
            (None, Some(problem)) => problem.to_string(),
            (None, None) => "the target is unknown".into(),
        }
    }
}

impl fmt::Display for TargetKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(LoadUnit::Cores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cores;
    use crate::snapshot::TargetOrigin;

    #[test]
    fn message_has_the_unit_of_the_loads() {
        let known = TargetKnown {
            target: Some(ResolvedTarget {
                cores: Cores::new(1500.0).unwrap(),
                origin: TargetOrigin::Fixed,
            }),
            problem: None,
        };
        assert_eq!(
            known.message(LoadUnit::Cores),
            "the target is 1500.000 cores per pod (set by the operator)"
        );
        assert_eq!(
            known.message(LoadUnit::Custom),
            "the target is 1500.000 per pod (set by the operator)"
        );
    }

    #[test]
    fn missing_eligible_pods_are_not_missing_data() {
        let failure = |problem| {
            TargetKnown {
                target: None,
                problem: Some(problem),
            }
            .failure()
        };
        assert!(failure(TargetProblem::NoAutoscaler).missing_data);
        assert!(!failure(TargetProblem::NoEligiblePods).missing_data);
        let paused = failure(TargetProblem::AutoscalerPaused {
            object: "ScaledObject orders".into(),
            annotation: "autoscaling.keda.sh/paused: true".into(),
        });
        assert_eq!(paused.reason, HoldReason::AUTOSCALER_PAUSED);
        assert!(!paused.missing_data);
    }
}
