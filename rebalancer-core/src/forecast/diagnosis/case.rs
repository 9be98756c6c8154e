//! Groups for the tests of diagnoses.

use kafka_assignors::{Algorithm, Member, MemberIndex, Subscription, TopicIndex, Topics};

use super::{Diagnosis, diagnose};
use crate::forecast::{Attribution, Subject};
use crate::group::{
    Assignor, ClientFamily, GroupModel, Knowledge, KnownAssignor, Protocol, ServingPodIndex,
};
use crate::model::{LoadUnit, PodIndex};

/// The input of a diagnosis. The threshold is 1 and the target is 0.5. Sums of the loads are exact,
/// so that limits can be tested.
pub(super) struct Case {
    pub(super) group: GroupModel,
    pub(super) attribution: Attribution,
    pub(super) algorithm: Algorithm,
    pub(super) target: Option<f64>,
    pub(super) threshold: Option<f64>,
}

/// A topic: its name, and the owning pod and the load of each partition.
pub(super) type Topic<'a> = (&'a str, &'a [(usize, f64)]);

impl Case {
    /// One topic, from the loads of each pod's partitions.
    pub(super) fn of(pods: &[&[f64]]) -> Self {
        let owned = pods.iter().enumerate();
        let partitions: Vec<(usize, f64)> = owned
            .flat_map(|(pod, loads)| loads.iter().map(move |load| (pod, *load)))
            .collect();
        Self::of_topics(pods.len(), &[("t", &partitions)])
    }

    /// A group with one member per pod. Topics are sorted by name.
    pub(super) fn of_topics(pods: usize, topics: &[Topic<'_>]) -> Self {
        let sizes = topics
            .iter()
            .map(|(name, all)| ((*name).to_owned(), all.len()));
        let partitions = || topics.iter().flat_map(|(_, partitions)| *partitions);
        let member = |pod: usize| Member {
            id: format!("member-{pod}"),
            instance: None,
            subscription: Subscription::new(TopicIndex::all(topics.len())),
            rack: None,
        };
        let group = GroupModel {
            behind: Vec::new(),
            topics: Topics::new(sizes),
            members: (0..pods).map(member).collect(),
            pod_of: ServingPodIndex::all(pods).collect(),
            pods: (0..pods).map(PodIndex::new).collect(),
            owners: partitions()
                .map(|(pod, _)| Some(MemberIndex::new(*pod)))
                .collect(),
            rates: None,
            assignor: KnownAssignor {
                assignor: Assignor::Range,
                known: Knowledge::Set,
            },
            client: ClientFamily::Java,
            protocol: Protocol::Classic,
            session_timeout: 45.0,
            removes_static_members: false,
            stable_names: false,
            returns: vec![false; pods],
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

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// With slow pods, which have these residuals.
    pub(super) fn slow(self, pods: &[(usize, f64)]) -> Self {
        self.with(|case| {
            for (pod, residual) in pods {
                case.attribution.residuals[*pod] = *residual;
                case.attribution.slow.push(ServingPodIndex::new(*pod));
            }
        })
    }

    pub(super) fn with_static_members(self, members: &[usize]) -> Self {
        self.with(|case| {
            case.group.stable_names = true;
            for member in members {
                case.group.members[*member].instance = Some(format!("static-{member}"));
                case.group.returns[*member] = true;
            }
        })
    }

    pub(super) fn found(&self) -> Vec<Diagnosis> {
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

    /// The message of one kind of diagnosis, by its name in a report.
    pub(super) fn message(&self, kind: &str) -> Option<String> {
        let found = self.found();
        let mut of_kind = found.iter().filter(|found| name(found) == kind);
        let message = of_kind.next().map(|found| found.message(LoadUnit::Cores));
        assert!(of_kind.next().is_none(), "{kind} is reported twice");
        message
    }
}

/// The name of a kind in a report.
pub(super) fn name(diagnosis: &Diagnosis) -> &'static str {
    match diagnosis {
        Diagnosis::Capacity(_) => "capacity",
        Diagnosis::PositionalAssignor(_) => "positional_assignor",
        Diagnosis::StaticMembership(_) => "static_membership",
        Diagnosis::TooFewPartitions(_) => "too_few_partitions",
        Diagnosis::HotPartition(_) => "hot_partition",
        Diagnosis::Remainder(_) => "remainder",
        Diagnosis::SkewedTopic(_) => "skewed_topic",
        Diagnosis::SlowPod(_) => "slow_pod",
    }
}

/// Smaller than any load of these tests, and larger than rounding errors.
pub(super) const BIT: f64 = 1.0 / 1024.0;

/// One pod is above the threshold, and the mean is not.
pub(super) fn one_hot() -> Case {
    Case::of(&[&[0.75, 0.5], &[0.25, 0.125]])
}
