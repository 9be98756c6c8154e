//! A plan: which pods to evict, why, and in which waves; or which partitions to hand to other
//! members; or which members rejoin the group.

mod assignment;
mod rejoin;

pub use assignment::{AssignmentPlan, PlannedMove};
pub use rejoin::{PlannedRejoin, RejoinPlan};

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::model::{Load, PodRef, PodUid};

/// Why a pod is in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Among the most loaded, above the threshold.
    Hottest,
    /// Among the least loaded.
    Coldest,
}

impl Role {
    /// The word in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hottest => "hottest",
            Self::Coldest => "coldest",
        }
    }
}

/// A pod to evict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Victim {
    /// The name of the pod.
    pub name: String,
    /// The UID of the pod, so that no other pod of that name is evicted.
    pub uid: PodUid,
    /// Why the pod is in the plan.
    pub role: Role,
    /// The load of the pod in the snapshot, in cores or in the unit of a custom load query.
    pub load: Load,
    /// Number of the pod's wave, from 1.
    pub wave: usize,
}

impl Victim {
    /// The reference that identifies this pod.
    #[must_use]
    pub fn reference(&self) -> PodRef {
        PodRef {
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }
}

/// The pods to evict, in order: at least one victim, none twice, and waves numbered 1, 2, …
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Vec<Victim>", into = "Vec<Victim>")]
pub struct Plan {
    victims: Vec<Victim>,
}

/// Why a list of victims is not a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// The list is empty.
    #[error("the plan is empty")]
    Empty,
    /// The list contains a pod twice.
    #[error("the plan contains pod `{name}` twice")]
    Twice {
        /// The name of the pod.
        name: String,
    },
    /// The list of moves contains a partition twice, or a partition that stays.
    #[error("the plan cannot move partition {partition} from {from} to {to}")]
    Move {
        /// The name of the partition.
        partition: String,
        /// Its owner.
        from: String,
        /// The owner afterwards.
        to: String,
    },
    /// The waves are not numbered 1, 2, … in the order of the victims.
    #[error("the plan's waves are out of order: pod `{name}` cannot be in wave {wave}")]
    Wave {
        /// The first victim whose wave is out of order.
        name: String,
        /// The number of that wave.
        wave: usize,
    },
}

impl Plan {
    /// Divides `victims`, in order, into waves of at most `wave_size`. `None` if there is no
    /// victim.
    pub(crate) fn new(mut victims: Vec<Victim>, wave_size: usize) -> Option<Self> {
        for (index, victim) in victims.iter_mut().enumerate() {
            victim.wave = index / wave_size.max(1) + 1;
        }
        (!victims.is_empty()).then_some(Self { victims })
    }

    /// The victims in order.
    #[must_use]
    pub fn victims(&self) -> &[Victim] {
        &self.victims
    }

    /// The waves in order. A wave begins when the one before it is complete.
    pub fn waves(&self) -> impl Iterator<Item = &[Victim]> {
        self.victims.chunk_by(|a, b| a.wave == b.wave)
    }

    /// The size of the largest wave: the number of pods that are evicted at the same time.
    #[must_use]
    pub fn largest_wave(&self) -> usize {
        self.waves().map(<[Victim]>::len).max().unwrap_or(0)
    }
}

impl TryFrom<Vec<Victim>> for Plan {
    type Error = InvalidPlan;
    fn try_from(victims: Vec<Victim>) -> Result<Self, Self::Error> {
        if victims.is_empty() {
            return Err(InvalidPlan::Empty);
        }
        let mut seen = HashSet::with_capacity(victims.len());
        let mut wave = 0;
        for victim in &victims {
            if !seen.insert(&victim.uid) {
                return Err(InvalidPlan::Twice {
                    name: victim.name.clone(),
                });
            }
            if victim.wave != wave && victim.wave != wave + 1 || victim.wave == 0 {
                return Err(InvalidPlan::Wave {
                    name: victim.name.clone(),
                    wave: victim.wave,
                });
            }
            wave = victim.wave;
        }
        Ok(Self { victims })
    }
}

impl From<Plan> for Vec<Victim> {
    fn from(plan: Plan) -> Self {
        plan.victims
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn victims(list: &[(&str, usize)]) -> Vec<Victim> {
        list.iter()
            .map(|(name, wave)| Victim {
                name: (*name).into(),
                uid: PodUid((*name).into()),
                role: Role::Hottest,
                load: Load::ZERO,
                wave: *wave,
            })
            .collect()
    }

    #[rstest]
    #[case(&[], "the plan is empty")]
    #[case(&[("a", 1), ("a", 1)], "the plan contains pod `a` twice")]
    #[case(&[("a", 0)], "the plan's waves are out of order: pod `a` cannot be in wave 0")]
    #[case(&[("a", 2)], "the plan's waves are out of order: pod `a` cannot be in wave 2")]
    #[case(
        &[("a", 1), ("b", 2), ("c", 1)],
        "the plan's waves are out of order: pod `c` cannot be in wave 1"
    )]
    fn invalid_list_is_refused(#[case] list: &[(&str, usize)], #[case] expected: &str) {
        assert_eq!(
            Plan::try_from(victims(list)).unwrap_err().to_string(),
            expected
        );
    }

    #[test]
    fn plan_is_divided_into_waves() {
        let plan = Plan::new(victims(&[("a", 1), ("b", 1), ("c", 1)]), 2).unwrap();
        let waves: Vec<usize> = plan.waves().map(<[Victim]>::len).collect();
        assert_eq!((waves, plan.largest_wave()), (vec![2, 1], 2));
        assert_eq!(Plan::try_from(plan.victims().to_vec()), Ok(plan));
    }
}
