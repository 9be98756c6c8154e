//! Why pods are hot, where that can be told, and what would help instead of evicting them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::replay::Subject;
use crate::group::Group;
use crate::group::member::subscribed_alike;

/// A topic counts as the one that matters from this share of the explained load on.
const DOMINANT_SHARE: f64 = 0.5;

/// Something that explains hot pods, with its numbers; its `Display` adds what to do about it.
/// Loads are in cores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Diagnosis {
    /// All pods together have more to do than the threshold allows each of them.
    Capacity {
        /// The mean load.
        mean: f64,
        /// The threshold.
        threshold: f64,
        /// Pods that are ready.
        pods: usize,
        /// Pods that would be needed to bring the mean down to the target.
        needed: usize,
    },
    /// Partitions are given out by the rank of the member ids alone: replacing a pod changes who
    /// carries which load, and no load.
    PositionalAssignor {
        /// The assignor, and how it is known.
        assignor: String,
    },
    /// A replacement has the `group.instance.id` of the pod before it and gets its partitions back.
    StaticMembership {
        /// Static members.
        members: usize,
    },
    /// There are fewer partitions than pods.
    TooFewPartitions {
        /// Partitions.
        partitions: usize,
        /// Pods.
        pods: usize,
    },
    /// One partition makes whoever owns it hot.
    HotPartition {
        /// The heaviest partition, as `topic-number`.
        partition: String,
        /// The pod that owns it.
        pod: String,
        /// What a pod with that partition alone would spend.
        load: f64,
        /// The threshold.
        threshold: f64,
        /// How many such partitions there are.
        partitions: usize,
    },
    /// The partitions cannot be divided evenly, and one more of them makes a pod hot.
    Remainder {
        /// Partitions.
        partitions: usize,
        /// Pods.
        pods: usize,
        /// Pods that carry one partition more than the others.
        larger: usize,
        /// The next number of pods that divides the partitions.
        divides: usize,
    },
    /// One topic makes most of the load, and its partitions are spread unevenly, since assignors
    /// count the partitions of all topics together.
    SkewedTopic {
        /// The topic.
        topic: String,
        /// Its share of the load of all partitions, in percent.
        share_percent: f64,
        /// The most of its partitions that a pod owns.
        most: usize,
        /// The fewest.
        fewest: usize,
    },
    /// A pod spends more than its partitions explain: its node, its neighbours, or itself.
    SlowPod {
        /// The pod.
        pod: String,
        /// Its load.
        load: f64,
        /// What its partitions explain.
        explained: f64,
    },
}

impl Diagnosis {
    /// Nothing that can be evicted changes it (but for pods that are slow by themselves).
    #[must_use]
    pub fn is_structural(&self) -> bool {
        match self {
            Self::Capacity { .. }
            | Self::PositionalAssignor { .. }
            | Self::StaticMembership { .. }
            | Self::HotPartition { .. } => true,
            // With fewer partitions than pods each pod has one or none.
            Self::TooFewPartitions { .. } => true,
            Self::Remainder { .. } | Self::SkewedTopic { .. } | Self::SlowPod { .. } => false,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity {
                mean,
                threshold,
                pods,
                needed,
            } => write!(
                f,
                "the pods spend {mean:.3} cores on average, above the threshold of {threshold:.3}: \
                 however the partitions are spread there are too few pods; scale from {pods} to \
                 {needed}"
            ),
            Self::PositionalAssignor { assignor } => write!(
                f,
                "evicting cannot change the loads, only who carries which: the assignor is \
                 {assignor}, which goes by the rank of the member ids; use cooperative-sticky \
                 (or uniform, with group.protocol=consumer)"
            ),
            Self::StaticMembership { members } => write!(
                f,
                "evicting changes nothing: {members} members are static (group.instance.id), and \
                 the replacement of a pod gets the same partitions back"
            ),
            Self::TooFewPartitions { partitions, pods } => write!(
                f,
                "{partitions} partitions for {pods} pods: each pod has one or none, however they \
                 are given out; add partitions, or run {partitions} pods"
            ),
            Self::HotPartition {
                partition,
                pod,
                load,
                threshold,
                partitions,
            } => {
                write!(
                    f,
                    "whoever owns partition {partition} is hot: it alone takes {load:.3} cores, \
                     above the threshold of {threshold:.3} (now on {pod}"
                )?;
                if *partitions > 1 {
                    write!(f, "; {} more are like it", partitions - 1)?;
                }
                f.write_str("); more partitions or better keys would help, evicting cannot")
            }
            Self::Remainder {
                partitions,
                pods,
                larger,
                divides,
            } => write!(
                f,
                "{partitions} partitions do not divide among {pods} pods: {larger} of them carry \
                 one more, which makes them hot; {divides} pods divide them evenly"
            ),
            Self::SkewedTopic {
                topic,
                share_percent,
                most,
                fewest,
            } => write!(
                f,
                "topic {topic} makes {share_percent:.0} % of the load, and pods own {fewest} to \
                 {most} of its partitions: assignors even out partitions of all topics together; \
                 consume it in a group of its own"
            ),
            Self::SlowPod {
                pod,
                load,
                explained,
            } => write!(
                f,
                "{pod} spends {load:.3} cores where its partitions explain {explained:.3}: it is \
                 slow by itself; evicting it alone is right"
            ),
        }
    }
}

/// Everything that explains hot pods, what cannot be changed by evictions first. `names` are those
/// of the group's pods, `spread` is whether a plan could move partitions between pods at all.
#[must_use]
pub fn diagnose(subject: &Subject<'_>, names: &[&str]) -> Vec<Diagnosis> {
    let Some(threshold) = subject.threshold else {
        return Vec::new();
    };
    let loads = subject.loads();
    let hot: Vec<usize> = (0..)
        .zip(&loads)
        .filter(|(_, load)| **load > threshold)
        .map(|(pod, _)| pod)
        .collect();
    if hot.is_empty() {
        return Vec::new();
    }
    let view = View {
        subject,
        group: subject.group,
        names,
        loads: &loads,
        hot: &hot,
        threshold,
    };
    [
        view.capacity(),
        view.positional_assignor(),
        view.static_membership(),
        view.too_few_partitions(),
        view.hot_partition(),
        view.remainder(),
        view.skewed_topic(),
    ]
    .into_iter()
    .flatten()
    .chain(view.slow_pods())
    .collect()
}

struct View<'a> {
    subject: &'a Subject<'a>,
    group: &'a Group,
    names: &'a [&'a str],
    loads: &'a [f64],
    hot: &'a [usize],
    threshold: f64,
}

impl View<'_> {
    fn name(&self, pod: usize) -> String {
        self.names
            .get(pod)
            .map_or_else(String::new, ToString::to_string)
    }

    /// What a pod's partitions and the base explain of its load.
    fn explained(&self, pod: usize) -> f64 {
        let load = self.loads.get(pod).copied().unwrap_or(0.0);
        let residual = self.subject.attribution.residuals.get(pod).copied();
        load - residual.unwrap_or(0.0)
    }

    /// The hot pods that are not just slow by themselves.
    fn hot_by_partitions(&self) -> impl Iterator<Item = usize> {
        let slow = &self.subject.attribution.slow;
        let hot = self.hot.iter().copied();
        hot.filter(|pod| !slow.contains(pod) || self.explained(*pod) > self.threshold)
    }

    fn capacity(&self) -> Option<Diagnosis> {
        let total: f64 = self.loads.iter().sum();
        let pods = self.loads.len();
        let mean = total / float(pods);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of pods"
        )]
        let needed = |target: f64| (total / target).ceil() as usize;
        (mean > self.threshold).then(|| Diagnosis::Capacity {
            mean,
            threshold: self.threshold,
            pods,
            needed: self.subject.target.map_or(pods, needed),
        })
    }

    fn positional_assignor(&self) -> Option<Diagnosis> {
        let futile =
            self.subject.algorithm.is_positional() && subscribed_alike(&self.group.members);
        (futile && self.hot_by_partitions().next().is_some()).then(|| {
            Diagnosis::PositionalAssignor {
                assignor: self.group.assignor.in_words(),
            }
        })
    }

    fn static_membership(&self) -> Option<Diagnosis> {
        let members = &self.group.members;
        let fixed = members.iter().filter(|member| member.instance.is_some());
        let futile = self.group.stable_names && fixed.clone().count() == members.len();
        (futile && self.hot_by_partitions().next().is_some()).then(|| Diagnosis::StaticMembership {
            members: fixed.count(),
        })
    }

    fn too_few_partitions(&self) -> Option<Diagnosis> {
        let (partitions, pods) = (self.group.topics.partitions(), self.loads.len());
        let futile = partitions < pods && self.hot_by_partitions().next().is_some();
        futile.then_some(Diagnosis::TooFewPartitions { partitions, pods })
    }

    /// The most loaded pod owns a partition that alone would make it hot.
    fn hot_partition(&self) -> Option<Diagnosis> {
        let peak = self
            .hot_by_partitions()
            .max_by(|a, b| self.explained(*a).total_cmp(&self.explained(*b)))?;
        let base = self.subject.attribution.base;
        let alone = |partition: &usize| {
            let load = self.subject.attribution.partitions.get(*partition);
            base + load.copied().unwrap_or(0.0)
        };
        let owners = self.group.pod_owners();
        let hot: Vec<usize> = (0..owners.len())
            .filter(|partition| alone(partition) > self.threshold)
            .collect();
        let owned = hot
            .iter()
            .filter(|partition| owners.get(**partition).copied().flatten() == Some(peak));
        let heaviest = owned.max_by(|a, b| alone(a).total_cmp(&alone(b)))?;
        Some(Diagnosis::HotPartition {
            partition: self.group.topics.partition_name(*heaviest),
            pod: self.name(peak),
            load: alone(heaviest),
            threshold: self.threshold,
            partitions: hot.len(),
        })
    }

    /// With partitions that all weigh the same, the pods with one more would be hot and the
    /// others would not.
    fn remainder(&self) -> Option<Diagnosis> {
        let (partitions, pods) = (self.group.topics.partitions(), self.loads.len());
        let (each, larger) = (partitions / pods, partitions % pods);
        let total: f64 = self.subject.attribution.partitions.iter().sum();
        let average = total / float(partitions);
        let load = |count: usize| self.subject.attribution.base + average * float(count);
        let tips = larger > 0 && load(each + 1) > self.threshold && load(each) <= self.threshold;
        let divides = (pods + 1..=partitions).find(|pods| partitions.is_multiple_of(*pods))?;
        tips.then_some(Diagnosis::Remainder {
            partitions,
            pods,
            larger,
            divides,
        })
    }

    fn skewed_topic(&self) -> Option<Diagnosis> {
        let topics = &self.group.topics;
        if topics.len() < 2 {
            return None;
        }
        let partitions = &self.subject.attribution.partitions;
        let total: f64 = partitions.iter().sum();
        let load = |topic: usize| -> f64 {
            let of_topic = partitions.get(topics.range(topic)).unwrap_or_default();
            of_topic.iter().sum()
        };
        let topic = (0..topics.len()).max_by(|a, b| load(*a).total_cmp(&load(*b)))?;
        let share = load(topic) / total;
        let mut counts = vec![0_usize; self.loads.len()];
        let owners = self.group.pod_owners();
        for pod in owners.get(topics.range(topic))?.iter().flatten() {
            if let Some(count) = counts.get_mut(*pod) {
                *count += 1;
            }
        }
        let (most, fewest) = (*counts.iter().max()?, *counts.iter().min()?);
        // The hot pods are those that own many of them.
        let even = topics.range(topic).len().div_ceil(self.loads.len());
        let explains = self
            .hot_by_partitions()
            .any(|pod| counts.get(pod).is_some_and(|count| *count > even));
        (share >= DOMINANT_SHARE && most > fewest + 1 && explains).then(|| Diagnosis::SkewedTopic {
            topic: topics.name(topic).to_owned(),
            share_percent: share * 100.0,
            most,
            fewest,
        })
    }

    fn slow_pods(&self) -> impl Iterator<Item = Diagnosis> {
        let slow = self.subject.attribution.slow.iter().copied();
        slow.filter(|pod| self.hot.contains(pod))
            .map(|pod| Diagnosis::SlowPod {
                pod: self.name(pod),
                load: self.loads.get(pod).copied().unwrap_or(0.0),
                explained: self.explained(pod),
            })
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of pods and partitions")]
fn float(number: usize) -> f64 {
    number as f64
}
