//! The group in a forecast: members, topics, pods and owners in terms of indices.

use kafka_assignors::{Assignment, Member, Topics};

use super::{ClientFamily, KnownAssignor, Protocol};
use crate::model::PodIndex;

/// Index of a pod in [`GroupModel::pods`], the serving pods of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServingPodIndex(usize);

impl ServingPodIndex {
    /// Wraps a plain index.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The plain index.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }

    /// Returns the indices of a list with `count` elements, ascending.
    #[must_use]
    pub fn all(count: usize) -> impl ExactSizeIterator<Item = Self> + Clone {
        (0..count).map(Self)
    }
}

/// A settled group: each partition has an owner, and each member runs in a serving pod.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupModel {
    /// The topics that the group consumes.
    pub topics: Topics,
    /// The members. The id is empty if it is unknown.
    pub members: Vec<Member>,
    /// The pod of each member.
    pub pod_of: Vec<ServingPodIndex>,
    /// The serving pods of the workload, ascending.
    pub pods: Vec<PodIndex>,
    /// The owners of the partitions.
    pub owners: Assignment,
    /// The rate of each partition in records or bytes per second; `None` if unknown.
    pub rates: Option<Vec<f64>>,
    /// The pods with partitions that are behind, ascending. Their loads are not what their rates
    /// cost: a pod that catches up uses more, one that falls behind less.
    pub behind: Vec<ServingPodIndex>,
    /// The assignor.
    pub assignor: KnownAssignor,
    /// The client library.
    pub client: ClientFamily,
    /// The group protocol.
    pub protocol: Protocol,
    /// `session.timeout.ms` in seconds.
    pub session_timeout: f64,
    /// Whether a replacement has the name of the pod before it.
    pub stable_names: bool,
    /// Whether the replacement of each member's pod has the `group.instance.id` of the member, and
    /// so gets its partitions back.
    pub returns: Vec<bool>,
    /// Whether static members whose replacements have another `group.instance.id` are removed once
    /// their pod is gone, so that they do not stay until their session times out.
    pub removes_static_members: bool,
    /// The startup durations of the serving pods, from creation until readiness, in seconds,
    /// ascending. Excludes pods whose duration is unknown.
    pub startups: Vec<f64>,
}

impl GroupModel {
    /// Whether each pod that is replaced gets its partitions back, because every member is static.
    #[must_use]
    pub fn all_return(&self) -> bool {
        !self.returns.is_empty() && self.returns.iter().all(|returns| *returns)
    }

    /// The pod that owns each partition.
    #[must_use]
    pub fn pod_owners(&self) -> Vec<Option<ServingPodIndex>> {
        self.iter_pod_owners().collect()
    }

    /// The pod that owns each partition, without allocating a list.
    pub(crate) fn iter_pod_owners(&self) -> impl Iterator<Item = Option<ServingPodIndex>> {
        let owners = self.owners.owners();
        owners.map(|member| self.pod_of.get(member?.get()).copied())
    }

    /// The number of partitions that each serving pod owns.
    pub(crate) fn partitions_by_pod(&self) -> Vec<usize> {
        let mut counts = vec![0; self.pods.len()];
        for pod in self.iter_pod_owners().flatten() {
            if let Some(count) = counts.get_mut(pod.get()) {
                *count += 1;
            }
        }
        counts
    }
}
