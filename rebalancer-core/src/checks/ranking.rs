//! The pods of a snapshot in the order of their loads.

use std::cmp::Reverse;

use super::pod::{Ineligible, LoadFacts, ineligible};
use crate::model::{Load, Pod, PodIndex};
use crate::policy::Policy;
use crate::snapshot::Snapshot;

/// The pods of a snapshot by load, and the results of the pod checks. The order does not depend on
/// the order of the pods in the snapshot.
pub(crate) struct Ranking<'a> {
    pods: Vec<RankedPod<'a>>,
    eligible: Vec<Candidate<'a>>,
    /// The reasons of each pod, in the order of the snapshot.
    reasons: Vec<Vec<Ineligible>>,
    ready: usize,
}

/// A pod of a ranking. It is small, because the ranking sorts it.
pub(crate) struct RankedPod<'a> {
    pub(crate) index: PodIndex,
    pub(crate) pod: &'a Pod,
    pub(crate) load: Option<Load>,
}

/// An eligible pod of a ranking.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) index: PodIndex,
    pub(crate) pod: &'a Pod,
    pub(crate) load: Load,
}

impl<'a> Ranking<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, policy: &Policy) -> Self {
        let facts = LoadFacts::of(snapshot);
        let count = snapshot.pods().len();
        let mut pods = Vec::with_capacity(count);
        let mut reasons = Vec::with_capacity(count);
        let mut ready = 0;
        for (index, pod) in snapshot.pods().iter().enumerate() {
            ready += usize::from(pod.serves());
            reasons.push(ineligible(pod, policy, facts));
            pods.push(RankedPod {
                index: PodIndex::new(index),
                pod,
                load: pod.load(),
            });
        }
        pods.sort_unstable_by(|one, other| {
            let by_load = Reverse(one.load).cmp(&Reverse(other.load));
            by_load.then_with(|| one.pod.name.cmp(&other.pod.name))
        });
        let eligible = pods
            .iter()
            .filter(|ranked| reasons[ranked.index.get()].is_empty())
            .filter_map(|ranked| {
                Some(Candidate {
                    index: ranked.index,
                    pod: ranked.pod,
                    load: ranked.load?,
                })
            })
            .collect();
        Self {
            pods,
            eligible,
            reasons,
            ready,
        }
    }

    /// All pods, most loaded first, ties by name, pods without a load last.
    pub(crate) fn pods(&self) -> &[RankedPod<'a>] {
        &self.pods
    }

    /// The eligible pods in the same order.
    pub(crate) fn eligible(&self) -> &[Candidate<'a>] {
        &self.eligible
    }

    /// Why a pod may not be a victim; empty if it may.
    pub(crate) fn reasons(&self, pod: PodIndex) -> &[Ineligible] {
        &self.reasons[pod.get()]
    }

    /// The number of ready pods.
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    /// The pods in order, and the reasons of each pod by its index.
    pub(crate) fn into_parts(self) -> (Vec<RankedPod<'a>>, Vec<Vec<Ineligible>>) {
        (self.pods, self.reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn orders_by_load_then_name_with_missing_loads_last() {
        let snapshot: Snapshot = serde_json::from_value(json!({"pods": [
            {"name": "missing"}, {"name": "tie-b", "load": 1.0}, {"name": "low", "load": 0.5},
            {"name": "not-ready", "load": 3.0, "ready": false}, {"name": "tie-a", "load": 1.0},
        ]}))
        .unwrap();
        let ranking = Ranking::new(&snapshot, &Policy::default());
        let names: Vec<&str> = ranking.pods().iter().map(|p| p.pod.name.as_str()).collect();
        assert_eq!(names, ["not-ready", "tie-a", "tie-b", "low", "missing"]);
        let eligible: Vec<(usize, f64)> = ranking
            .eligible()
            .iter()
            .map(|candidate| (candidate.index.get(), candidate.load.get()))
            .collect();
        assert_eq!(eligible, [(4, 1.0), (1, 1.0), (2, 0.5)]);
    }
}
