//! A plan that evicts nothing: pods whose members leave the group and return at once.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::InvalidPlan;

/// A pod whose members are removed from the group and return under new member ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedRejoin {
    /// The name of the pod.
    pub pod: String,
    /// The load of the pod, in cores or in the unit of a custom load query.
    pub load: f64,
}

/// The pods whose members are all removed from the group at once and return: at least one, none
/// twice. No pod restarts, and static members keep their `group.instance.id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Vec<PlannedRejoin>", into = "Vec<PlannedRejoin>")]
pub struct RejoinPlan {
    pods: Vec<PlannedRejoin>,
}

impl RejoinPlan {
    /// The pods: hot ones first, most loaded first, then the others, least loaded first.
    #[must_use]
    pub fn pods(&self) -> &[PlannedRejoin] {
        &self.pods
    }

    /// Whether the members of the pod with this name rejoin.
    #[must_use]
    pub fn contains(&self, pod: &str) -> bool {
        self.pods.iter().any(|planned| planned.pod == pod)
    }
}

impl TryFrom<Vec<PlannedRejoin>> for RejoinPlan {
    type Error = InvalidPlan;
    fn try_from(pods: Vec<PlannedRejoin>) -> Result<Self, Self::Error> {
        if pods.is_empty() {
            return Err(InvalidPlan::Empty);
        }
        let mut seen = HashSet::with_capacity(pods.len());
        if let Some(twice) = pods.iter().find(|planned| !seen.insert(&planned.pod)) {
            return Err(InvalidPlan::Twice {
                name: twice.pod.clone(),
            });
        }
        Ok(Self { pods })
    }
}

impl From<RejoinPlan> for Vec<PlannedRejoin> {
    fn from(plan: RejoinPlan) -> Self {
        plan.pods
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn pods(names: &[&str]) -> Vec<PlannedRejoin> {
        names
            .iter()
            .map(|name| PlannedRejoin {
                pod: (*name).into(),
                load: 0.5,
            })
            .collect()
    }

    #[rstest]
    #[case::empty(&[], "the plan is empty")]
    #[case::twice(&["a", "b", "a"], "the plan contains pod `a` twice")]
    fn invalid_list_is_refused(#[case] names: &[&str], #[case] expected: &str) {
        let error = RejoinPlan::try_from(pods(names)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn plan_knows_its_pods() {
        let plan = RejoinPlan::try_from(pods(&["a", "b"])).unwrap();
        assert!(plan.contains("b") && !plan.contains("c"));
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<RejoinPlan>(&json).unwrap(), plan);
    }
}
