//! The workload at the time of the decision, with which the execution compares later reads.

use std::collections::HashSet;

use crate::checks::changed_since;
use crate::model::{PodUid, Rollout};
use crate::snapshot::Snapshot;

/// The state of the workload for which the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// The number of ready pods.
    pub ready: usize,
    /// The rollout; `None` if it was not reported.
    pub rollout: Option<Rollout>,
    /// The UIDs of all pods. A pod with any other UID is a replacement.
    pub pods: HashSet<PodUid>,
}

impl Baseline {
    /// The state of the workload in `snapshot`.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            ready: snapshot.ready(),
            rollout: snapshot.data().rollout,
            pods: snapshot.pods().iter().map(|pod| pod.uid.clone()).collect(),
        }
    }

    /// Accepts `generation` as the result of a change that this run made to the workload.
    ///
    /// Only the next generation is accepted. A larger difference means that another client changed
    /// the workload as well.
    pub(super) fn acknowledge_own_change(&mut self, generation: i64) {
        if let Some(rollout) = &mut self.rollout
            && rollout.generation.checked_add(1) == Some(generation)
        {
            rollout.generation = generation;
        }
    }

    /// The change of the specification between this baseline and `now`, as a message; `None` if
    /// nothing changed or one of the two rollouts is unknown.
    pub(super) fn change_to(&self, now: Option<Rollout>) -> Option<String> {
        changed_since(self.rollout, now)
    }
}
