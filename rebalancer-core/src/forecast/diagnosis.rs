//! Why pods are hot, where that can be told, and what would help instead of evicting them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::replay::Subject;
use crate::group::Group;
use kafka_assignors::subscribed_alike;

/// A topic counts as the one that matters from this share of the explained load on.
const DOMINANT_SHARE: f64 = 0.5;

/// Beyond what the rounding of a sum of loads can come to, relative to it.
const ROUNDING: f64 = 1e-9;

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
        /// The fewest pods of which none has to carry that one more.
        enough: usize,
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
                "evicting changes nothing: {members} {} static (group.instance.id), and the \
                 replacement of a pod gets the same partitions back",
                number(*members, "member is", "members are")
            ),
            Self::TooFewPartitions { partitions, pods } => write!(
                f,
                "{partitions} {} for {pods} pods: each pod has one or none, however they are given \
                 out; add partitions, or run {partitions} {}",
                number(*partitions, "partition", "partitions"),
                number(*partitions, "pod", "pods")
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
                    let more = partitions - 1;
                    write!(f, "; {more} more {} like it", number(more, "is", "are"))?;
                }
                f.write_str("); more partitions or better keys would help, evicting cannot")
            }
            Self::Remainder {
                partitions,
                pods,
                larger,
                enough,
                divides,
            } => {
                let (carry, them) = match larger {
                    1 => ("carries", "it"),
                    _ => ("carry", "them"),
                };
                write!(
                    f,
                    "{partitions} partitions do not divide among {pods} pods: {larger} of them \
                     {carry} one more, which makes {them} hot; "
                )?;
                if enough < divides {
                    let each = partitions / pods.max(&1);
                    write!(f, "with {enough} pods none carries more than {each}, and ")?;
                }
                write!(f, "{divides} pods divide them evenly")
            }
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
/// of the group's pods.
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

    /// How many of these partitions each pod owns.
    fn counts(&self, partitions: std::ops::Range<usize>) -> Vec<usize> {
        let mut counts = vec![0; self.loads.len()];
        let owners = self.group.pod_owners();
        for pod in owners.get(partitions).into_iter().flatten().flatten() {
            if let Some(count) = counts.get_mut(*pod) {
                *count += 1;
            }
        }
        counts
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
        // As many as are needed exactly shall not be one more where sums are not exact.
        let needed = |target: f64| (total / target * (1.0 - ROUNDING)).ceil() as usize;
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

    /// Each pod has one or none. Where one has several, as with range over several topics or with
    /// several members in a pod, they could be spread better.
    fn too_few_partitions(&self) -> Option<Diagnosis> {
        let (partitions, pods) = (self.group.topics.partitions(), self.loads.len());
        let one_each = self.counts(0..partitions).iter().all(|count| *count <= 1);
        let futile = partitions < pods && one_each && self.hot_by_partitions().next().is_some();
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
    /// others would not. Fewer pods are no way out: each would carry that one more at least. More
    /// are, and if it takes one for each partition.
    fn remainder(&self) -> Option<Diagnosis> {
        let (partitions, pods) = (self.group.topics.partitions(), self.loads.len());
        let (each, larger) = (partitions / pods, partitions % pods);
        let total: f64 = self.subject.attribution.partitions.iter().sum();
        let average = total / float(partitions);
        let load = |count: usize| self.subject.attribution.base + average * float(count);
        let tips = larger > 0 && load(each + 1) > self.threshold && load(each) <= self.threshold;
        let counts = self.counts(0..partitions);
        let explains = self
            .hot_by_partitions()
            .any(|pod| counts.get(pod).is_some_and(|count| *count > each));
        // None where there are fewer partitions than pods.
        let divides = (pods + 1..=partitions).find(|pods| partitions.is_multiple_of(*pods))?;
        (tips && explains).then(|| Diagnosis::Remainder {
            partitions,
            pods,
            larger,
            enough: partitions.div_ceil(each),
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
        let counts = self.counts(topics.range(topic));
        let (most, fewest) = (*counts.iter().max()?, *counts.iter().min()?);
        // The hot pods are those that own many of them: then another one owns two fewer at least.
        let even = topics.range(topic).len().div_ceil(self.loads.len());
        let explains = self
            .hot_by_partitions()
            .any(|pod| counts.get(pod).is_some_and(|count| *count > even));
        (share >= DOMINANT_SHARE && explains).then(|| Diagnosis::SkewedTopic {
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

/// The word for one of them, or for several.
fn number<'a>(count: usize, one: &'a str, several: &'a str) -> &'a str {
    if count == 1 { one } else { several }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Attribution;
    use crate::group::{Assignor, ClientFamily, Knowledge, KnownAssignor, Protocol};
    use kafka_assignors::{Algorithm, Member, Subscription, Topics};
    use rstest::rstest;

    /// Everything that a diagnosis looks at. The threshold is 1, the target a half; sums of the
    /// loads are exact, so that limits are.
    struct Case {
        group: Group,
        attribution: Attribution,
        algorithm: Algorithm,
        target: Option<f64>,
        threshold: Option<f64>,
    }

    /// A topic: its name, and for each partition the pod that owns it and its load.
    type Topic<'a> = (&'a str, &'a [(usize, f64)]);

    impl Case {
        /// One topic: for each pod the loads of its partitions.
        fn of(pods: &[&[f64]]) -> Self {
            let owned = pods.iter().enumerate();
            let partitions: Vec<(usize, f64)> = owned
                .flat_map(|(pod, loads)| loads.iter().map(move |load| (pod, *load)))
                .collect();
            Self::of_topics(pods.len(), &[("t", &partitions)])
        }

        /// So many pods with a member each, and topics in the order of their names.
        fn of_topics(pods: usize, topics: &[Topic<'_>]) -> Self {
            let sizes = topics
                .iter()
                .map(|(name, all)| ((*name).to_owned(), all.len()));
            let partitions = || topics.iter().flat_map(|(_, partitions)| *partitions);
            let member = |pod: usize| Member {
                id: format!("member-{pod}"),
                instance: None,
                subscription: Subscription::new(0..topics.len()),
            };
            let group = Group {
                topics: Topics::new(sizes),
                members: (0..pods).map(member).collect(),
                pod_of: (0..pods).collect(),
                pods: (0..pods).collect(),
                owners: partitions().map(|(pod, _)| Some(*pod)).collect(),
                rates: None,
                assignor: KnownAssignor {
                    assignor: Assignor::Range,
                    known: Knowledge::Set,
                },
                client: ClientFamily::Java,
                protocol: Protocol::Classic,
                session_timeout: 45.0,
                stable_names: false,
                startups: Vec::new(),
            };
            let attribution = Attribution {
                fit: None,
                partitions: partitions().map(|(_, load)| *load).collect(),
                base: 0.0,
                residuals: vec![0.0; pods],
                slow: Vec::new(),
            };
            Self {
                group,
                attribution,
                algorithm: Algorithm::CooperativeSticky,
                target: Some(0.5),
                threshold: Some(1.0),
            }
        }

        fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
            change(&mut self);
            self
        }

        /// With pods that are slow by themselves, by so much.
        fn slow(self, pods: &[(usize, f64)]) -> Self {
            self.with(|case| {
                for (pod, by) in pods {
                    case.attribution.residuals[*pod] = *by;
                    case.attribution.slow.push(*pod);
                }
            })
        }

        fn fixed(self, members: &[usize]) -> Self {
            self.with(|case| {
                case.group.stable_names = true;
                for member in members {
                    case.group.members[*member].instance = Some(format!("static-{member}"));
                }
            })
        }

        fn found(&self) -> Vec<Diagnosis> {
            let names: Vec<String> = ('a'..)
                .take(self.group.pods.len())
                .map(String::from)
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let subject = Subject {
                group: &self.group,
                attribution: &self.attribution,
                algorithm: self.algorithm,
                target: self.target,
                threshold: self.threshold,
            };
            diagnose(&subject, &names)
        }

        /// What is said of one kind, by its name in a report.
        fn said(&self, kind: &str) -> Option<String> {
            let found = self.found();
            let mut of_kind = found.iter().filter(|found| name(found) == kind);
            let said = of_kind.next().map(ToString::to_string);
            assert!(of_kind.next().is_none(), "{kind} twice");
            said
        }
    }

    fn name(diagnosis: &Diagnosis) -> &'static str {
        match diagnosis {
            Diagnosis::Capacity { .. } => "capacity",
            Diagnosis::PositionalAssignor { .. } => "positional_assignor",
            Diagnosis::StaticMembership { .. } => "static_membership",
            Diagnosis::TooFewPartitions { .. } => "too_few_partitions",
            Diagnosis::HotPartition { .. } => "hot_partition",
            Diagnosis::Remainder { .. } => "remainder",
            Diagnosis::SkewedTopic { .. } => "skewed_topic",
            Diagnosis::SlowPod { .. } => "slow_pod",
        }
    }

    /// Less than any load of these tests, and more than sums are rounded by.
    const BIT: f64 = 1.0 / 1024.0;

    #[rstest]
    #[case::below(&[1.5, 0.5 - BIT], None)]
    #[case::at(&[1.5, 0.5], None)]
    #[case::above(
        &[1.5, 0.5 + BIT],
        Some("the pods spend 1.000 cores on average, above the threshold of 1.000: however the \
              partitions are spread there are too few pods; scale from 2 to 5")
    )]
    #[case::as_many_as_are_needed_exactly(
        &[1.5, 1.0],
        Some("the pods spend 1.250 cores on average, above the threshold of 1.000: however the \
              partitions are spread there are too few pods; scale from 2 to 5")
    )]
    #[case::one_pod(
        &[1.25],
        Some("the pods spend 1.250 cores on average, above the threshold of 1.000: however the \
              partitions are spread there are too few pods; scale from 1 to 3")
    )]
    fn capacity(#[case] loads: &[f64], #[case] says: Option<&str>) {
        let loads: Vec<[f64; 2]> = loads.iter().map(|load| [load / 2.0, load / 2.0]).collect();
        let pods: Vec<&[f64]> = loads.iter().map(|loads| &loads[..]).collect();
        assert_eq!(Case::of(&pods).said("capacity").as_deref(), says);
    }

    #[test]
    fn rounding_needs_no_pod() {
        // 1.1 + 1.1 + 1.1 is a bit more than 3.3, and that divided by 0.3 a bit more than 11.
        let case = Case::of(&[&[1.1], &[1.1], &[1.1]]).with(|case| case.target = Some(0.3));
        let said = case.said("capacity").unwrap();
        assert!(said.ends_with("scale from 3 to 11"), "{said}");
    }

    /// One pod is hot, the mean is not.
    fn one_hot() -> Case {
        Case::of(&[&[0.75, 0.5], &[0.25, 0.125]])
    }

    #[rstest]
    #[case(Algorithm::Range, true)]
    #[case(Algorithm::RoundRobin, true)]
    #[case(Algorithm::ConsumerRange, true)]
    #[case(Algorithm::Sticky, false)]
    #[case(Algorithm::CooperativeSticky, false)]
    #[case(Algorithm::LibrdkafkaSticky, false)]
    #[case(Algorithm::LibrdkafkaCooperativeSticky, false)]
    #[case(Algorithm::Uniform, false)]
    fn positional_assignor(#[case] algorithm: Algorithm, #[case] is_one: bool) {
        let case = one_hot().with(|case| case.algorithm = algorithm);
        let says = "evicting cannot change the loads, only who carries which: the assignor is \
                    range (set by GROUP_ASSIGNOR), which goes by the rank of the member ids; use \
                    cooperative-sticky (or uniform, with group.protocol=consumer)";
        assert_eq!(
            case.said("positional_assignor").as_deref(),
            is_one.then_some(says)
        );
        let differing = case.with(|case| {
            case.group.members[1].subscription = Subscription::new([]);
        });
        assert_eq!(differing.said("positional_assignor"), None);
    }

    #[rstest]
    #[case::all(&[0, 1], true, Some("evicting changes nothing: 2 members are static \
        (group.instance.id), and the replacement of a pod gets the same partitions back"))]
    #[case::not_all(&[0], true, None)]
    #[case::of_new_names(&[0, 1], false, None)]
    fn static_membership(
        #[case] fixed: &[usize],
        #[case] stable_names: bool,
        #[case] says: Option<&str>,
    ) {
        let case = one_hot().fixed(fixed);
        let case = case.with(|case| case.group.stable_names = stable_names);
        assert_eq!(case.said("static_membership").as_deref(), says);
    }

    #[test]
    fn one_static_member() {
        let case = Case::of(&[&[1.25]]).fixed(&[0]);
        let says = "evicting changes nothing: 1 member is static (group.instance.id), and the \
                    replacement of a pod gets the same partitions back";
        assert_eq!(case.said("static_membership").as_deref(), Some(says));
    }

    #[rstest]
    #[case::fewer(
        Case::of(&[&[1.25], &[0.25], &[]]),
        Some("2 partitions for 3 pods: each pod has one or none, however they are given out; add \
              partitions, or run 2 pods")
    )]
    #[case::one(
        Case::of(&[&[1.25], &[], &[]]),
        Some("1 partition for 3 pods: each pod has one or none, however they are given out; add \
              partitions, or run 1 pod")
    )]
    #[case::as_many(Case::of(&[&[1.25], &[0.25], &[0.25]]), None)]
    // As range does it over two topics.
    #[case::several_on_one(
        Case::of_topics(4, &[("t", &[(0, 0.75)]), ("u", &[(0, 0.75), (1, 0.25)])]),
        None
    )]
    fn too_few_partitions(#[case] case: Case, #[case] says: Option<&str>) {
        assert_eq!(case.said("too_few_partitions").as_deref(), says);
    }

    #[rstest]
    #[case::at(Case::of(&[&[1.0, 0.5], &[0.25, 0.25]]), None)]
    #[case::above(
        Case::of(&[&[0.5, 1.25], &[0.125, 0.0]]),
        Some("whoever owns partition t-1 is hot: it alone takes 1.250 cores, above the threshold \
              of 1.000 (now on a); more partitions or better keys would help, evicting cannot")
    )]
    #[case::with_the_base(
        Case::of(&[&[1.0, 0.5], &[0.25, 0.25]]).with(|case| case.attribution.base = 0.0625),
        Some("whoever owns partition t-0 is hot: it alone takes 1.062 cores, above the threshold \
              of 1.000 (now on a); more partitions or better keys would help, evicting cannot")
    )]
    // The heaviest of the pod that spends most.
    #[case::one_more(
        Case::of(&[&[1.5, 0.0], &[1.25, 1.125], &[0.0, 0.0], &[0.0, 0.0]])
            .with(|case| case.attribution.partitions[0] = 0.25),
        Some("whoever owns partition t-2 is hot: it alone takes 1.250 cores, above the threshold \
              of 1.000 (now on b; 1 more is like it); more partitions or better keys would help, \
              evicting cannot")
    )]
    #[case::two_more(
        Case::of(&[&[1.5, 0.0], &[1.25, 1.125], &[0.0, 0.0], &[0.0, 0.0]]),
        Some("whoever owns partition t-2 is hot: it alone takes 1.250 cores, above the threshold \
              of 1.000 (now on b; 2 more are like it); more partitions or better keys would help, \
              evicting cannot")
    )]
    // The peak has none such, and it could fall.
    #[case::not_on_the_peak(Case::of(&[&[1.25, 0.0], &[0.75, 0.75], &[0.0], &[0.0]]), None)]
    // What a slow pod spends beyond its partitions does not make it the peak.
    #[case::not_on_a_slow_pod(
        Case::of(&[&[1.25, 0.0], &[0.5, 0.625], &[0.0], &[0.0]]).slow(&[(1, 2.0)]),
        Some("whoever owns partition t-0 is hot: it alone takes 1.250 cores, above the threshold \
              of 1.000 (now on a); more partitions or better keys would help, evicting cannot")
    )]
    fn hot_partition(#[case] case: Case, #[case] says: Option<&str>) {
        assert_eq!(case.said("hot_partition").as_deref(), says);
    }

    #[rstest]
    #[case::one_divides(
        Case::of(&[&[0.5, 0.5, 0.5], &[0.5, 0.5, 0.5], &[0.5, 0.5], &[0.5, 0.5]]),
        Some("10 partitions do not divide among 4 pods: 2 of them carry one more, which makes \
              them hot; 5 pods divide them evenly")
    )]
    #[case::less_are_enough(
        Case::of(&[&[0.25; 5], &[0.25; 4], &[0.25; 4]]),
        Some("13 partitions do not divide among 3 pods: 1 of them carries one more, which makes \
              it hot; with 4 pods none carries more than 4, and 13 pods divide them evenly")
    )]
    // Two of 0.5 are at the threshold, three are above it.
    #[case::fewer_at_the_threshold(
        Case::of(&[&[0.5, 0.5, 0.5], &[0.5, 0.5]]),
        Some("5 partitions do not divide among 2 pods: 1 of them carries one more, which makes \
              it hot; with 3 pods none carries more than 2, and 5 pods divide them evenly")
    )]
    #[case::fewer_above_it(
        Case::of(&[&[0.5, 0.5, 0.5], &[0.5, 0.5]]).with(|case| case.attribution.base = BIT),
        None
    )]
    // Four of 0.25 are at the threshold.
    #[case::more_at_the_threshold(
        Case::of(&[&[0.25, 0.25, 0.25, 0.5], &[0.25, 0.25, 0.0]]),
        None
    )]
    #[case::more_above_it(
        Case::of(&[&[0.25, 0.25, 0.25, 0.5], &[0.25, 0.25, 0.0]])
            .with(|case| case.attribution.base = BIT),
        Some("7 partitions do not divide among 2 pods: 1 of them carries one more, which makes \
              it hot; with 3 pods none carries more than 3, and 7 pods divide them evenly")
    )]
    #[case::they_divide(Case::of(&[&[0.75, 0.75], &[0.75, 0.75]]), None)]
    #[case::fewer_than_pods(Case::of(&[&[1.25], &[]]), None)]
    // Those with one more have light ones, and the others are hot.
    #[case::others_are_hot(Case::of(&[&[0.25, 0.25, 0.25], &[1.0, 0.75]]), None)]
    // Two carry one more, and what is hot of them is hot by itself.
    #[case::slow_ones_are_hot(
        Case::of(&[&[0.25, 0.25, 0.25], &[0.875, 0.125]]).slow(&[(0, 1.0)]),
        None
    )]
    fn remainder(#[case] case: Case, #[case] says: Option<&str>) {
        assert_eq!(case.said("remainder").as_deref(), says);
    }

    /// Three pods; `a` owns three partitions of the topic `heavy`, `b` two and `c` one or, with
    /// `even`, all own two. `light` weighs so much in all.
    fn skewed(even: bool, light: f64) -> Case {
        let last = if even { 2 } else { 0 };
        let heavy = [
            (0, 0.5),
            (0, 0.5),
            (1, 0.5),
            (1, 0.5),
            (2, 0.5),
            (last, 0.5),
        ];
        let light = light / 2.0;
        Case::of_topics(
            3,
            &[("heavy", &heavy), ("light", &[(1, light), (2, light)])],
        )
    }

    /// The same with two others, a partition of which weighs so much.
    fn three_topics(others: f64) -> Case {
        let heavy = [(0, 0.5), (0, 0.5), (0, 0.5), (1, 0.5), (1, 0.5), (2, 0.5)];
        let others = [(1, others), (2, others)];
        Case::of_topics(
            3,
            &[("heavy", &heavy), ("light", &others), ("other", &others)],
        )
    }

    #[rstest]
    #[case::at_half_of_the_load(
        three_topics(0.75),
        Some(
            "topic heavy makes 50 % of the load, and pods own 1 to 3 of its partitions: \
              assignors even out partitions of all topics together; consume it in a group of its \
              own"
        )
    )]
    #[case::more(
        skewed(false, 1.0),
        Some(
            "topic heavy makes 75 % of the load, and pods own 1 to 3 of its partitions: \
              assignors even out partitions of all topics together; consume it in a group of its \
              own"
        )
    )]
    #[case::less(three_topics(0.75 + BIT), None)]
    #[case::spread_within_one(
        Case::of_topics(2, &[("heavy", &[(0, 0.5), (0, 0.75), (1, 0.5)]), ("light", &[(1, 0.125)])]),
        None
    )]
    #[case::even(skewed(true, 0.25).with(|case| case.attribution.partitions[0] = 0.75), None)]
    // Who owns many of them is not hot.
    #[case::others_are_hot(
        skewed(false, 0.5).with(|case| {
            case.attribution.partitions = vec![0.125, 0.125, 0.75, 0.75, 0.5, 0.125, 0.25, 0.25];
        }),
        None
    )]
    // Nor is who owns as many as all would with an even spread.
    #[case::as_many_as_all(
        Case::of_topics(3, &[
            ("heavy", &[(0, 0.75), (0, 0.75), (1, 0.25), (1, 0.25)]),
            ("light", &[(2, 0.25)]),
        ]),
        None
    )]
    #[case::one_topic(Case::of(&[&[0.5, 0.5, 0.5], &[0.25]]), None)]
    fn skewed_topic(#[case] case: Case, #[case] says: Option<&str>) {
        assert_eq!(case.said("skewed_topic").as_deref(), says);
    }

    #[rstest]
    #[case::below_the_threshold(0.25 - BIT, &[])]
    #[case::at_the_threshold(0.25, &[])]
    #[case::hot(0.5, &["b spends 1.250 cores where its partitions explain 0.750: it is slow by \
        itself; evicting it alone is right"])]
    fn slow_pod(#[case] by: f64, #[case] says: &[&str]) {
        let case = Case::of(&[&[0.5, 0.75], &[0.75]]).slow(&[(1, by)]);
        let found = case.found();
        let found = found.iter().filter(|found| name(found) == "slow_pod");
        assert_eq!(found.map(ToString::to_string).collect::<Vec<_>>(), says);
    }

    #[test]
    fn each_slow_pod_is_named() {
        let case = Case::of(&[&[0.5], &[0.5], &[0.25]]).slow(&[(0, 1.0), (1, 2.0), (2, 0.25)]);
        let said: Vec<String> = case.found().iter().map(ToString::to_string).collect();
        let says = |pod, load| {
            format!(
                "{pod} spends {load} cores where its partitions explain 0.500: it is slow by \
                 itself; evicting it alone is right"
            )
        };
        assert_eq!(said[1..], [says("a", "1.500"), says("b", "2.500")]);
    }

    /// Who is slow by itself is evicted whatever the group: then the group is not the reason.
    #[rstest]
    #[case::explained_at_the_threshold(1.0, false)]
    #[case::explained_above_it(1.0 + BIT, true)]
    fn a_slow_pod_alone_is_no_matter_of_the_group(#[case] explained: f64, #[case] is_one: bool) {
        let case = Case::of(&[&[explained], &[], &[]])
            .slow(&[(0, 0.5)])
            .fixed(&[0, 1, 2]);
        let case = case.with(|case| case.algorithm = Algorithm::Range);
        let kinds: Vec<&str> = case.found().iter().map(name).collect();
        let of_the_group = [
            "positional_assignor",
            "static_membership",
            "too_few_partitions",
            "hot_partition",
        ];
        let expected = if is_one { &of_the_group[..] } else { &[] };
        assert_eq!(kinds, [expected, &["slow_pod"]].concat());
    }

    #[rstest]
    #[case::nobody_hot(Case::of(&[&[1.0], &[0.25]]).with(|case| case.algorithm = Algorithm::Range))]
    #[case::no_threshold(one_hot().with(|case| {
        case.algorithm = Algorithm::Range;
        case.threshold = None;
    }))]
    #[case::nobody_there(Case::of(&[]))]
    fn nothing_is_found(#[case] case: Case) {
        assert_eq!(case.found(), []);
    }

    /// What evictions cannot change comes first, since it decides.
    #[test]
    fn the_order_is_that_of_the_kinds() {
        let heavy = [(0, 0.75), (0, 0.75), (0, 0.75), (0, 1.25), (1, 0.25)];
        let light = [(1, 0.0), (1, 0.0)];
        let case = Case::of_topics(2, &[("heavy", &heavy), ("light", &light)])
            .slow(&[(1, 2.0)])
            .fixed(&[0, 1])
            .with(|case| case.algorithm = Algorithm::Range);
        let kinds: Vec<&str> = case.found().iter().map(name).collect();
        let expected = [
            "capacity",
            "positional_assignor",
            "static_membership",
            "hot_partition",
            "skewed_topic",
            "slow_pod",
        ];
        assert_eq!(kinds, expected);
        let structural: Vec<bool> = case.found().iter().map(Diagnosis::is_structural).collect();
        assert_eq!(structural, [true, true, true, true, false, false]);
    }

    /// Nothing to divide, and nothing to divide by.
    #[rstest]
    #[case::no_partitions(Case::of(&[&[], &[]]))]
    #[case::no_load(Case::of_topics(2, &[("t", &[(0, 0.0), (0, 0.0), (0, 0.0)]), ("u", &[(1, 0.0)])]))]
    fn numbers_are_finite(#[case] case: Case) {
        let case = case.with(|case| case.attribution.residuals = vec![1.5, 0.0]);
        for found in case.found() {
            let said = found.to_string();
            assert!(!said.contains("NaN") && !said.contains("inf"), "{said}");
            assert_ne!(name(&found), "remainder");
            assert_ne!(name(&found), "skewed_topic");
        }
    }
}
