//! A scenario applied to a group: the changed members and topics, and one drawn outcome.

use std::borrow::Cow;

use kafka_assignors::{
    Algorithm, Assignment, Assignor, Member, MemberIndex, PartitionIndex, Protocol, Topics,
};

use super::axes::Scenario;
use crate::forecast::Subject;
use crate::forecast::chance::Chance;
use crate::forecast::replay::{members_with_ids, replacement};
use crate::group::{GroupModel, GroupProblem, ServingPodIndex};
use crate::statistics::{imbalance, mean};

/// The subjects of a sample's draws, see [`Chance::about`].
const MEMBER_IDS: usize = 1;
const NEW_PODS: usize = 2;
const RESTARTED: usize = 3;
const SCALED_DOWN: usize = 4;

/// The assignor and the protocol of a group, and whether they are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AssignedBy {
    pub(super) assignor: Assignor,
    pub(super) protocol: Protocol,
}

impl AssignedBy {
    /// The assignor and the protocol of a scenario. An assignor that only the other protocol has
    /// implies that protocol, and another protocol has its default assignor: the broker's
    /// `uniform`, or the clients' `range`.
    pub(super) fn of(group: &GroupModel, scenario: &Scenario) -> Self {
        let (now, protocol) = (group.assignor.assignor, group.protocol);
        let other = match protocol {
            Protocol::Classic => Protocol::Consumer,
            Protocol::Consumer => Protocol::Classic,
        };
        let (assignor, protocol) = match (scenario.assignor, scenario.protocol) {
            (Some(assignor), Some(asked)) => (assignor, asked),
            (Some(assignor), None) => {
                let exists = |protocol| assignor.exists_in(protocol, group.client);
                let implied = !exists(protocol) && exists(other);
                (assignor, if implied { other } else { protocol })
            }
            (None, Some(asked)) if asked != protocol => match asked {
                Protocol::Consumer => (Assignor::Uniform, asked),
                Protocol::Classic => (Assignor::Range, asked),
            },
            (None, Some(_) | None) => (now, protocol),
        };
        Self { assignor, protocol }
    }

    /// Whether the group has others, so that every member restarts.
    pub(super) fn differs(self, group: &GroupModel) -> bool {
        self.assignor != group.assignor.assignor || self.protocol != group.protocol
    }
}

/// Why a scenario is impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Impossible {
    /// The client or the protocol does not have the assignor.
    #[error(transparent)]
    Assignor(GroupProblem),
    /// All pods are left out.
    #[error("no pod is left")]
    NoPods,
}

/// A scenario applied to a group.
pub(super) struct Change<'a> {
    subject: &'a Subject<'a>,
    topics: Cow<'a, Topics>,
    /// The current partition that each partition continues; `None` for a new one.
    continues: Vec<Option<PartitionIndex>>,
    /// The load of each partition.
    loads: Vec<f64>,
    algorithm: Algorithm,
    /// Whether the assignor or the protocol changes, so that every member joins again.
    restarts: bool,
    /// The pods that are not left out. Those of a StatefulSet are in the order of their ordinals.
    staying: Vec<ServingPodIndex>,
    pub(super) pods: usize,
}

/// The outcome of one draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    /// The highest load of a pod.
    pub(super) peak: f64,
    /// The highest load as a multiple of the mean.
    pub(super) imbalance: f64,
    /// The number of pods above the threshold.
    pub(super) hot: usize,
    /// The number of pods without a partition.
    pub(super) idle: usize,
    /// The number of current partitions that another pod consumes.
    pub(super) moved: usize,
    /// The number of partitions without an owner.
    pub(super) unowned: usize,
}

/// The members of a changed group, and the owners before the assignor runs.
struct Changed {
    members: Vec<Member>,
    /// The index of each member's pod.
    pod_of: Vec<usize>,
    /// The current pods that stay. New pods have the indices after them.
    kept: Vec<ServingPodIndex>,
    previous: Assignment,
}

impl<'a> Change<'a> {
    /// Applies a scenario whose pods and topics exist. `name` has the names of the pods.
    pub(super) fn new(
        subject: &'a Subject<'a>,
        name: &dyn Fn(ServingPodIndex) -> &'a str,
        scenario: &Scenario,
    ) -> Result<Self, Impossible> {
        let group = subject.group;
        let by = AssignedBy::of(group, scenario);
        if !by.assignor.exists_in(by.protocol, group.client) {
            let problem = GroupProblem::no_such_assignor(by.assignor, by.protocol, group.client);
            return Err(Impossible::Assignor(problem));
        }
        let left_out =
            |pod: &ServingPodIndex| scenario.without.iter().any(|other| other == name(*pod));
        let mut staying: Vec<ServingPodIndex> = ServingPodIndex::all(group.pods.len())
            .filter(|pod| !left_out(pod))
            .collect();
        if group.stable_names {
            staying.sort_by_key(|pod| ordinal(name(*pod)));
        }
        let pods = scenario.replicas.unwrap_or(staying.len());
        if pods == 0 {
            return Err(Impossible::NoPods);
        }
        let (topics, continues, loads) = resized(subject, scenario);
        Ok(Self {
            subject,
            topics,
            continues,
            loads,
            algorithm: Algorithm::of(by.assignor, group.client, by.protocol),
            restarts: by.differs(group),
            staying,
            pods,
        })
    }

    /// The number of partitions of all topics.
    pub(super) fn partitions(&self) -> usize {
        self.topics.partition_count()
    }

    /// Whether the scenario is the group as it is.
    fn is_present(&self) -> bool {
        let group = self.subject.group;
        let pods = group.pods.len();
        !self.restarts
            && (self.staying.len(), self.pods) == (pods, pods)
            && matches!(self.topics, Cow::Borrowed(_))
    }

    /// Whether a draw makes a difference.
    pub(super) fn is_drawn(&self) -> bool {
        !self.is_present()
    }

    /// One drawn outcome.
    pub(super) fn play(&self, chance: Chance) -> Outcome {
        if self.is_present() {
            return self.present();
        }
        let changed = self.changed(chance);
        let settled = self
            .algorithm
            .settle(&self.topics, &changed.members, &changed.previous);
        self.outcome(&changed, &settled.assignment)
    }

    /// The group as it is.
    fn present(&self) -> Outcome {
        let group = self.subject.group;
        let loads = self.subject.loads();
        let idle = group.partitions_by_pod();
        self.summary(
            &loads,
            idle.iter().filter(|count| **count == 0).count(),
            (0, 0),
        )
    }

    /// The changed members, with drawn ids where they are unknown.
    fn changed(&self, chance: Chance) -> Changed {
        let group = self.subject.group;
        let mut kept = self.staying.clone();
        if kept.len() > self.pods && !group.stable_names {
            chance.about(SCALED_DOWN).shuffle(&mut kept);
        }
        kept.truncate(self.pods);
        let mut index_of: Vec<Option<usize>> = vec![None; group.pods.len()];
        for (index, pod) in kept.iter().enumerate() {
            if let Some(entry) = index_of.get_mut(pod.get()) {
                *entry = Some(index);
            }
        }
        let (mut members, mut pod_of) = (Vec::new(), Vec::new());
        let mut new_indices = Vec::with_capacity(group.members.len());
        let with_ids = members_with_ids(group, self.algorithm, chance.about(MEMBER_IDS));
        for (member, pod) in with_ids.into_iter().zip(&group.pod_of) {
            let index = index_of.get(pod.get()).copied().flatten();
            new_indices.push(index.map(|_| MemberIndex::new(members.len())));
            let Some(index) = index else { continue };
            members.push(if self.restarts {
                replacement(
                    &member,
                    &member,
                    chance.about(RESTARTED).about(members.len()),
                )
            } else {
                member
            });
            pod_of.push(index);
        }
        for pod in kept.len()..self.pods {
            let chance = chance.about(NEW_PODS).about(pod);
            for member in self.members_of_a_new_pod(chance) {
                members.push(member);
                pod_of.push(pod);
            }
        }
        Changed {
            previous: self.previous(&new_indices),
            members,
            pod_of,
            kept,
        }
    }

    /// Members like those of a random current pod.
    fn members_of_a_new_pod(&self, chance: Chance) -> Vec<Member> {
        let group = self.subject.group;
        if group.members.is_empty() {
            return Vec::new();
        }
        let model = chance.about(0).below(group.members.len());
        let model = group.pod_of.get(model);
        let members = group.members.iter().zip(&group.pod_of);
        members
            .filter(|(_, pod)| Some(*pod) == model)
            .enumerate()
            .map(|(index, (member, _))| {
                let chance = chance.about(1).about(index);
                let instance = member.instance.as_ref();
                Member {
                    instance: instance.map(|instance| format!("{instance}-{:x}", chance.bits())),
                    ..replacement(member, member, chance)
                }
            })
            .collect()
    }

    /// The owners among the changed members. After a restart of all, no partition has an owner.
    fn previous(&self, new_indices: &[Option<MemberIndex>]) -> Assignment {
        if self.restarts {
            return Assignment::unowned(self.topics.partition_count());
        }
        let owners = self.subject.group.owners.renumbered(new_indices);
        let continues = self.continues.iter();
        continues.map(|present| owners.owner((*present)?)).collect()
    }

    fn outcome(&self, changed: &Changed, assignment: &Assignment) -> Outcome {
        let attribution = self.subject.attribution;
        let residual = |pod: usize| {
            let present = changed.kept.get(pod).filter(|_| !self.restarts);
            present.and_then(|pod| attribution.residuals.get(pod.get()).copied())
        };
        let mut loads: Vec<f64> = (0..self.pods)
            .map(|pod| attribution.base + residual(pod).unwrap_or(0.0))
            .collect();
        let mut counts = vec![0_usize; self.pods];
        let (mut moved, mut unowned) = (0, 0);
        let present_pods = self.subject.group.pod_owners();
        let partitions = assignment.owners().zip(&self.loads).zip(&self.continues);
        for ((owner, load), continues) in partitions {
            let pod = owner.and_then(|owner| changed.pod_of.get(owner.get()).copied());
            match pod {
                Some(pod) => {
                    if let (Some(sum), Some(count)) = (loads.get_mut(pod), counts.get_mut(pod)) {
                        *sum += load;
                        *count += 1;
                    }
                }
                None => unowned += 1,
            }
            let Some(present) = continues else { continue };
            let before = present_pods.get(present.get()).copied().flatten();
            let after = pod.and_then(|pod| changed.kept.get(pod).copied());
            moved += usize::from(self.restarts || before != after);
        }
        // A pod with a negative residual that now owns less could get a negative load.
        for load in &mut loads {
            *load = load.max(0.0);
        }
        let idle = counts.iter().filter(|count| **count == 0).count();
        self.summary(&loads, idle, (moved, unowned))
    }

    fn summary(&self, loads: &[f64], idle: usize, (moved, unowned): (usize, usize)) -> Outcome {
        let peak = loads.iter().copied().fold(0.0, f64::max);
        let threshold = self.subject.threshold.unwrap_or(f64::INFINITY);
        Outcome {
            peak,
            imbalance: imbalance(peak, mean(loads.iter().copied())),
            hot: loads.iter().filter(|load| **load > threshold).count(),
            idle,
            moved,
            unowned,
        }
    }
}

/// The ordinal of a StatefulSet's pod; other names come last.
fn ordinal(name: &str) -> u64 {
    let ordinal = name.rsplit_once('-').map(|(_, ordinal)| ordinal);
    ordinal
        .and_then(|ordinal| ordinal.parse().ok())
        .unwrap_or(u64::MAX)
}

/// The topics of a scenario, the current partition that each partition continues, and the loads.
/// The load of a topic with another number of partitions is divided evenly among them.
fn resized<'a>(
    subject: &'a Subject<'_>,
    scenario: &Scenario,
) -> (Cow<'a, Topics>, Vec<Option<PartitionIndex>>, Vec<f64>) {
    let present = &subject.group.topics;
    let loads = &subject.attribution.partitions;
    let size_of = |topic| {
        let asked = scenario.partitions.get(present.name(topic)).copied();
        asked.unwrap_or_else(|| present.size(topic))
    };
    if present
        .indices()
        .all(|topic| size_of(topic) == present.size(topic))
    {
        let all = PartitionIndex::all(present.partition_count()).map(Some);
        return (Cow::Borrowed(present), all.collect(), loads.clone());
    }
    let sizes = present
        .indices()
        .map(|topic| (present.name(topic).to_owned(), size_of(topic)));
    let topics = Topics::new(sizes);
    let (mut continues, mut resized, mut racks) = (Vec::new(), Vec::new(), Vec::new());
    for topic in present.indices() {
        let partitions: Vec<PartitionIndex> = present.partitions(topic).collect();
        let (before, after) = (partitions.len(), size_of(topic));
        let of_topic = loads.get(present.range(topic)).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a number of partitions")]
        let even = of_topic.iter().sum::<f64>() / after.max(1) as f64;
        for number in 0..after {
            let same = partitions.get(number).copied();
            continues.push(same);
            let load = of_topic.get(number).copied().filter(|_| before == after);
            resized.push(load.unwrap_or(even));
            // The brokers spread the replicas of new partitions like those of the current ones.
            let like = same.or_else(|| partitions.get(number % before.max(1)).copied());
            let of_replicas = like.map(|like| present.replica_racks(like));
            racks.push(of_replicas.cloned().unwrap_or_default());
        }
    }
    let has_racks = racks.iter().any(|racks| !racks.is_empty());
    let topics = if has_racks {
        topics.with_replica_racks(racks)
    } else {
        topics
    };
    (Cow::Owned(topics), continues, resized)
}
