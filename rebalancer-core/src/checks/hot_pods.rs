//! The pods above the threshold, with the time for which they have been above it.

use super::ranking::Ranking;
use crate::model::{PodIndex, Seconds};
use crate::policy::Policy;
use crate::snapshot::{ResolvedTarget, Snapshot};

/// The eligible pods above the threshold, and for how long they have been above it. Exists only if
/// the policy has a minimum duration.
pub(crate) struct HotPods {
    pub(super) threshold: f64,
    pub(super) minimum: Seconds,
    /// The pods, most loaded first.
    pub(super) pods: Vec<HotPod>,
}

/// A pod above the threshold.
pub(super) struct HotPod {
    index: PodIndex,
    pub(super) name: String,
    /// The time for which it has been above the threshold.
    pub(super) above: Seconds,
}

impl HotPods {
    /// `None` if a pod is hot at once, or if there is no threshold.
    pub(crate) fn new(
        snapshot: &Snapshot,
        ranking: &Ranking<'_>,
        policy: &Policy,
        target: Option<&ResolvedTarget>,
    ) -> Option<Self> {
        let minimum = policy.minimum_hot_duration_seconds?;
        let threshold = policy.tolerance.get() * target?.cores.get();
        let past = snapshot.data().past_loads.as_ref();
        let pods = ranking
            .eligible()
            .iter()
            .take_while(|candidate| candidate.load.get() > threshold)
            .map(|candidate| HotPod {
                index: candidate.index,
                name: candidate.pod.name.clone(),
                above: past.map_or(Seconds::ZERO, |past| {
                    past.above_for(&candidate.pod.name, threshold)
                }),
            });
        Some(Self {
            threshold,
            minimum,
            pods: pods.collect(),
        })
    }

    /// The pods that are above the threshold and do not count as hot yet.
    pub(crate) fn too_briefly(&self) -> Vec<PodIndex> {
        let briefly = self.pods.iter().filter(|pod| pod.above < self.minimum);
        briefly.map(|pod| pod.index).collect()
    }
}
