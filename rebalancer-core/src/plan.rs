//! A plan: who is to be evicted, why, and in which waves.

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
    /// The word, as documents have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hottest => "hottest",
            Self::Coldest => "coldest",
        }
    }
}

/// A pod to be evicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Victim {
    /// Its name.
    pub name: String,
    /// Its UID: no other pod may be hit.
    pub uid: PodUid,
    /// Why it is in the plan.
    pub role: Role,
    /// Its load when the plan was made, in cores.
    pub load: Load,
    /// The wave it goes in, from 1.
    pub wave: usize,
}

impl Victim {
    /// What names this pod.
    #[must_use]
    pub fn reference(&self) -> PodRef {
        PodRef {
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }
}

/// Who is to be evicted, in the order of their turn; at least one victim, none twice, the waves
/// one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Vec<Victim>", into = "Vec<Victim>")]
pub struct Plan {
    victims: Vec<Victim>,
}

/// A list of victims that is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// Nobody is to be evicted.
    #[error("the plan names no victims")]
    Empty,
    /// A pod is to be evicted twice.
    #[error("the plan names pod `{name}` twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// The waves are not numbered 1, 2, … in the order of the victims.
    #[error("the plan's waves are out of order: pod `{name}` cannot be in wave {wave}")]
    Wave {
        /// The first victim that is in a wave it cannot be in.
        name: String,
        /// That wave.
        wave: usize,
    },
}

impl Plan {
    /// Puts `victims`, given in the order of their turn, into waves of at most `wave_size`.
    /// `None` when there is nobody to evict.
    pub(crate) fn new(mut victims: Vec<Victim>, wave_size: usize) -> Option<Self> {
        for (index, victim) in victims.iter_mut().enumerate() {
            victim.wave = index / wave_size.max(1) + 1;
        }
        (!victims.is_empty()).then_some(Self { victims })
    }

    /// The victims in the order of their turn.
    #[must_use]
    pub fn victims(&self) -> &[Victim] {
        &self.victims
    }

    /// The waves, in turn: the first is out before the second begins.
    pub fn waves(&self) -> impl Iterator<Item = &[Victim]> {
        self.victims.chunk_by(|a, b| a.wave == b.wave)
    }

    /// The size of the largest wave: how many pods are out at the same time.
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
    #[case(&[], "the plan names no victims")]
    #[case(&[("a", 1), ("a", 1)], "the plan names pod `a` twice")]
    #[case(&[("a", 0)], "the plan's waves are out of order: pod `a` cannot be in wave 0")]
    #[case(&[("a", 2)], "the plan's waves are out of order: pod `a` cannot be in wave 2")]
    #[case(
        &[("a", 1), ("b", 2), ("c", 1)],
        "the plan's waves are out of order: pod `c` cannot be in wave 1"
    )]
    fn nonsense_is_no_plan(#[case] list: &[(&str, usize)], #[case] expected: &str) {
        assert_eq!(
            Plan::try_from(victims(list)).unwrap_err().to_string(),
            expected
        );
    }

    #[test]
    fn a_plan_is_carried_out_in_waves() {
        let plan = Plan::new(victims(&[("a", 1), ("b", 1), ("c", 1)]), 2).unwrap();
        let waves: Vec<usize> = plan.waves().map(<[Victim]>::len).collect();
        assert_eq!((waves, plan.largest_wave()), (vec![2, 1], 2));
        assert_eq!(Plan::try_from(plan.victims().to_vec()), Ok(plan));
    }
}
