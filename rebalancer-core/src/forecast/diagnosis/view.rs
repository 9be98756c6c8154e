//! The state of the group that the rules of all kinds use.

use kafka_assignors::{PartitionIndex, TopicIndex};

use crate::forecast::Subject;
use crate::group::{GroupModel, ServingPodIndex};

/// A group in which at least one pod is hot.
pub(super) struct View<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) group: &'a GroupModel,
    pub(super) threshold: f64,
    /// The load of each pod.
    pub(super) loads: Vec<f64>,
    pub(super) hot: Vec<ServingPodIndex>,
    names: &'a [&'a str],
}

impl<'a> View<'a> {
    /// `None` without a threshold or a hot pod.
    pub(super) fn new(subject: &'a Subject<'a>, names: &'a [&'a str]) -> Option<Self> {
        let threshold = subject.threshold?;
        let loads = subject.loads();
        let hot: Vec<ServingPodIndex> = ServingPodIndex::all(loads.len())
            .zip(&loads)
            .filter(|(_, load)| **load > threshold)
            .map(|(pod, _)| pod)
            .collect();
        (!hot.is_empty()).then_some(Self {
            subject,
            group: subject.group,
            threshold,
            loads,
            hot,
            names,
        })
    }

    pub(super) fn pods(&self) -> usize {
        self.loads.len()
    }

    pub(super) fn name(&self, pod: ServingPodIndex) -> String {
        let name = self.names.get(pod.get());
        name.map_or_else(String::new, ToString::to_string)
    }

    pub(super) fn load(&self, pod: ServingPodIndex) -> f64 {
        self.loads.get(pod.get()).copied().unwrap_or(0.0)
    }

    /// The part of a pod's load that its partitions and the base explain.
    pub(super) fn explained(&self, pod: ServingPodIndex) -> f64 {
        let residual = self.subject.attribution.residuals.get(pod.get()).copied();
        self.load(pod) - residual.unwrap_or(0.0)
    }

    pub(super) fn is_slow(&self, pod: ServingPodIndex) -> bool {
        self.subject.attribution.slow.contains(&pod)
    }

    /// The hot pods whose partitions make them hot.
    pub(super) fn hot_by_partitions(&self) -> impl Iterator<Item = ServingPodIndex> {
        let hot = self.hot.iter().copied();
        hot.filter(|pod| !self.is_slow(*pod) || self.explained(*pod) > self.threshold)
    }

    pub(super) fn any_hot_by_partitions(&self) -> bool {
        self.hot_by_partitions().next().is_some()
    }

    /// The load of a partition.
    pub(super) fn partition_load(&self, partition: PartitionIndex) -> f64 {
        let load = self.subject.attribution.partitions.get(partition.get());
        load.copied().unwrap_or(0.0)
    }

    /// The load of all partitions of a topic.
    pub(super) fn topic_load(&self, topic: TopicIndex) -> f64 {
        let partitions = self.group.topics.partitions(topic);
        partitions
            .map(|partition| self.partition_load(partition))
            .sum()
    }

    /// The number of partitions of a topic that each pod owns.
    pub(super) fn counts(&self, topic: TopicIndex) -> Vec<usize> {
        let mut counts = vec![0; self.pods()];
        let owners = self.group.pod_owners();
        let of_topic = owners.get(self.group.topics.range(topic));
        for pod in of_topic.into_iter().flatten().flatten() {
            if let Some(count) = counts.get_mut(pod.get()) {
                *count += 1;
            }
        }
        counts
    }

    /// Whether a pod that its partitions make hot owns more than `limit` of those counted.
    pub(super) fn any_hot_owns_more_than(&self, limit: usize, counts: &[usize]) -> bool {
        self.hot_by_partitions()
            .any(|pod| counts.get(pod.get()).is_some_and(|count| *count > limit))
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of pods and partitions")]
pub(super) fn float(number: usize) -> f64 {
    number as f64
}
