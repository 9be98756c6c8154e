//! Check: at least one pod is eligible.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::policy::PolicyField;

/// At least one pod may be a victim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EligiblePods {
    /// Number of pods in the snapshot.
    pub pods: usize,
    /// Number of pods that may be victims.
    pub eligible: usize,
    /// Number of pods by the reason against them.
    pub ineligible: BTreeMap<String, usize>,
}

impl HoldReason {
    /// No pod may be a victim.
    pub const NO_ELIGIBLE_PODS: Self = Self::new(
        "no_eligible_pods",
        "no pod may be evicted",
        "the message counts the reasons; the report has the reasons of each pod",
    )
    .governed_by(&[PolicyField::MinimumPodAgeSeconds]);
}

impl Rule for EligiblePods {
    const REASONS: &'static [HoldReason] = &[HoldReason::NO_ELIGIBLE_PODS];

    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let pods = input.ranking.pods();
        let mut ineligible = BTreeMap::new();
        for reason in pods.iter().flat_map(|pod| input.ranking.reasons(pod.index)) {
            *ineligible.entry(reason.as_str().to_owned()).or_insert(0) += 1;
        }
        let eligible = input.ranking.eligible().len();
        Some((
            Verdict::pass_if(eligible > 0),
            Self {
                pods: pods.len(),
                eligible,
                ineligible,
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::NO_ELIGIBLE_PODS,
            missing_data: false,
            untrusted_loads: true,
        }
    }
}

impl fmt::Display for EligiblePods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pods,
            eligible,
            ineligible,
        } = self;
        write!(f, "{eligible} of {pods} pods are eligible")?;
        let mut separator = ": ";
        for (reason, count) in ineligible {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use serde_json::json;

    #[test]
    fn counts_every_reason_of_every_pod() {
        let snapshot = json!({"pods": [
            {"name": "a", "load": 1.0, "owned": false, "ready": false},
            {"name": "b", "load": 1.0, "ready": false},
        ]});
        let check = check_snapshot(CheckDetails::EligiblePods, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Fail);
        assert_eq!(
            check.message,
            "0 of 2 pods are eligible: 1 not_owned, 2 not_ready"
        );
    }

    #[test]
    fn one_eligible_pod_is_enough() {
        let snapshot = json!({"pods": [{"name": "a", "load": 1.0}, {"name": "b"}]});
        let check = check_snapshot(CheckDetails::EligiblePods, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Pass);
        assert_eq!(check.message, "1 of 2 pods are eligible: 1 not_measured");
    }
}
