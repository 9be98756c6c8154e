//! The pods of a snapshot in the order of their loads.

use std::cmp::Reverse;

use super::pod::{Ineligible, ineligible};
use crate::model::{Load, Pod, PodIndex};
use crate::policy::Policy;
use crate::snapshot::Snapshot;

/// The pods of a snapshot by load, each with the result of the pod checks. The order does not depend
/// on the order of the pods in the snapshot.
pub(crate) struct Ranking<'a> {
    pods: Vec<RankedPod<'a>>,
    eligible: Vec<Candidate<'a>>,
    ready: usize,
}

/// A pod of a ranking.
pub(crate) struct RankedPod<'a> {
    pub(crate) index: PodIndex,
    pub(crate) pod: &'a Pod,
    pub(crate) load: Option<Load>,
    /// Why the pod may not be a victim; empty if it may.
    pub(crate) reasons: Vec<Ineligible>,
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
        let freshness_known = snapshot.data().freshness_known;
        // Pods are read once, in the order of the snapshot: any other order is slow in a large
        // workload.
        let mut ready = 0;
        let mut reasons: Vec<Vec<Ineligible>> = Vec::with_capacity(snapshot.pods().len());
        for pod in snapshot.pods() {
            ready += usize::from(pod.serves());
            reasons.push(ineligible(pod, policy, freshness_known));
        }
        let mut ranking = Self {
            pods: Vec::with_capacity(snapshot.pods().len()),
            eligible: Vec::with_capacity(snapshot.pods().len()),
            ready,
        };
        for (index, load) in order(snapshot.pods()) {
            let pod = &snapshot.pods()[index];
            let reasons = std::mem::take(&mut reasons[index]);
            let index = PodIndex::new(index);
            if let (Some(load), true) = (load, reasons.is_empty()) {
                ranking.eligible.push(Candidate { index, pod, load });
            }
            ranking.pods.push(RankedPod {
                index,
                pod,
                load,
                reasons,
            });
        }
        ranking
    }

    /// All pods, most loaded first, ties by name, pods without a load last.
    pub(crate) fn pods(&self) -> &[RankedPod<'a>] {
        &self.pods
    }

    /// The eligible pods in the same order.
    pub(crate) fn eligible(&self) -> &[Candidate<'a>] {
        &self.eligible
    }

    /// The number of ready pods.
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    pub(crate) fn into_pods(self) -> Vec<RankedPod<'a>> {
        self.pods
    }
}

/// The indices of the pods in order, with their loads. The loads are sorted along with the indices,
/// because reading each load from its pod is slow in a large workload.
fn order(pods: &[Pod]) -> impl Iterator<Item = (usize, Option<Load>)> {
    let mut order: Vec<_> = pods
        .iter()
        .map(|pod| Reverse(pod.load()))
        .zip(0..)
        .collect();
    order.sort_unstable_by(|(load, index), (other_load, other): &(_, usize)| {
        load.cmp(other_load)
            .then_with(|| pods[*index].name.cmp(&pods[*other].name))
    });
    order
        .into_iter()
        .map(|(Reverse(load), index)| (index, load))
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
