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

impl Rule for TargetKnown {
    const REASONS: &'static [HoldReason] = &[HoldReason::TARGET_UNKNOWN];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        Some((
            Verdict::pass_if(input.target.is_ok()),
            Self {
                target: input.target.as_ref().ok().cloned(),
                problem: input.target.as_ref().err().cloned(),
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::TARGET_UNKNOWN,
            // Pods become eligible with time.
            missing_data: self.problem != Some(TargetProblem::NoEligiblePods),
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
    }
}
