//! A plan that evicts nothing: partitions that get other owners.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::InvalidPlan;

/// A partition that gets another owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedMove {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: u32,
    /// The owner: the name of a member in the group of the snapshot, which is the name of its pod
    /// unless the pod has several members.
    pub from: String,
    /// The owner afterwards.
    pub to: String,
    /// The load of the partition, in cores or in the unit of a custom load query.
    pub load: f64,
}

impl PlannedMove {
    /// The name of the partition, such as `orders-3`.
    #[must_use]
    pub fn partition_name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

/// The partitions that get other owners: at least one, none twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Vec<PlannedMove>", into = "Vec<PlannedMove>")]
pub struct AssignmentPlan {
    moves: Vec<PlannedMove>,
}

impl AssignmentPlan {
    /// The moves, in the order of topics and partitions.
    #[must_use]
    pub fn moves(&self) -> &[PlannedMove] {
        &self.moves
    }

    /// The sum of the loads of the partitions that move.
    #[must_use]
    pub fn moved_load(&self) -> f64 {
        self.moves.iter().map(|moved| moved.load).sum()
    }
}

impl TryFrom<Vec<PlannedMove>> for AssignmentPlan {
    type Error = InvalidPlan;
    fn try_from(moves: Vec<PlannedMove>) -> Result<Self, Self::Error> {
        if moves.is_empty() {
            return Err(InvalidPlan::Empty);
        }
        let mut seen = HashSet::with_capacity(moves.len());
        for moved in &moves {
            if moved.from == moved.to || !seen.insert((&moved.topic, moved.partition)) {
                return Err(InvalidPlan::Move {
                    partition: moved.partition_name(),
                    from: moved.from.clone(),
                    to: moved.to.clone(),
                });
            }
        }
        Ok(Self { moves })
    }
}

impl From<AssignmentPlan> for Vec<PlannedMove> {
    fn from(plan: AssignmentPlan) -> Self {
        plan.moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn moves(list: &[(u32, &str, &str)]) -> Vec<PlannedMove> {
        list.iter()
            .map(|(partition, from, to)| PlannedMove {
                topic: "orders".into(),
                partition: *partition,
                from: (*from).into(),
                to: (*to).into(),
                load: 0.5,
            })
            .collect()
    }

    #[rstest]
    #[case::empty(&[], "the plan is empty")]
    #[case::stays(&[(3, "a", "a")], "the plan cannot move partition orders-3 from a to a")]
    #[case::twice(
        &[(0, "a", "b"), (0, "b", "c")],
        "the plan cannot move partition orders-0 from b to c"
    )]
    fn invalid_list_is_refused(#[case] list: &[(u32, &str, &str)], #[case] expected: &str) {
        let error = AssignmentPlan::try_from(moves(list)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn loads_of_moves_add_up() {
        let plan = AssignmentPlan::try_from(moves(&[(0, "a", "b"), (1, "b", "a")])).unwrap();
        assert!((plan.moved_load() - 1.0).abs() < 1e-12);
    }
}
