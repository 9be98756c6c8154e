//! Recorded episodes: a settled group of real consumers, the replacement of some members, and the
//! settled group afterwards.

use std::collections::{BTreeMap, BTreeSet};

use kafka_assignors::{Algorithm, Assignment, Member, MemberIndex, Subscription, Topics};
use rebalancer_core::forecast::LeaveJoinOrder;
use rebalancer_core::group::{
    Assignor, ClientFamily, GroupModel, Knowledge, KnownAssignor, Protocol, ServingPodIndex,
};
use rebalancer_core::model::PodIndex;
use serde::Deserialize;

/// The owning pod of each partition, by topic.
pub type Owners = BTreeMap<String, Vec<String>>;

/// An episode. The number of replacements equals the number of victims, and every member subscribes
/// to all topics.
#[derive(Debug, Clone, Deserialize)]
pub struct Episode {
    /// The client library, `java` or `librdkafka`, and its version after a space.
    pub client: String,
    /// The group protocol.
    pub protocol: Protocol,
    /// The assignor.
    pub assignor: Assignor,
    /// The number among the episodes of this client and assignor.
    #[serde(default)]
    pub episode: usize,
    /// The topics with their numbers of partitions.
    pub topics: BTreeMap<String, usize>,
    /// The members before the replacement.
    pub members: Vec<Consumer>,
    /// The owners before the replacement.
    pub before: Owners,
    /// The pods whose members left.
    pub victims: Vec<String>,
    /// The members that joined.
    pub replacements: Vec<Consumer>,
    /// The order of leaves and joins.
    pub order: EpisodeOrder,
    /// The owners after the replacement.
    pub after: Owners,
    /// The number of rebalances of a classic group, if counted.
    #[serde(default)]
    pub generations: Option<usize>,
}

/// A change of the group: a member leaves (by pod) or joins.
#[derive(Debug, Clone)]
enum MembershipChange {
    Leave(String),
    Join(Consumer),
}

/// The order in which members left and joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpisodeOrder {
    /// At the same time.
    Together,
    /// The group was settled without the victims before the replacements started.
    LeaveFirst,
    /// The group was settled with the replacements before the victims ended.
    JoinFirst,
}

impl From<EpisodeOrder> for LeaveJoinOrder {
    fn from(order: EpisodeOrder) -> Self {
        match order {
            EpisodeOrder::Together => Self::Together,
            EpisodeOrder::LeaveFirst => Self::LeaveFirst,
            EpisodeOrder::JoinFirst => Self::JoinFirst,
        }
    }
}

/// A member in its own pod.
#[derive(Debug, Clone, Deserialize)]
pub struct Consumer {
    /// The pod name.
    pub pod: String,
    /// The member id.
    pub id: String,
}

/// Knowledge of the member ids at the time of the forecast. The ids of replacements are never
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// The ids of the current members are known, as from an exporter that reads the group from the
    /// broker.
    Known,
    /// No ids are known, as with consumers that export their own assignment.
    Unknown,
}

impl Episode {
    /// The client library.
    #[must_use]
    pub fn family(&self) -> ClientFamily {
        if self.client.starts_with("java") {
            ClientFamily::Java
        } else {
            ClientFamily::Librdkafka
        }
    }

    /// The group before the replacement, as the forecast's input. Pods are in the order of the
    /// members.
    #[must_use]
    pub fn group(&self, ids: Ids) -> GroupModel {
        let topics = self.all_topics();
        let subscription = Subscription::all(&topics);
        let member = |consumer: &Consumer| match ids {
            Ids::Known => member(consumer.id.clone(), &subscription),
            Ids::Unknown => member(String::new(), &subscription),
        };
        let pods = self.members.len();
        GroupModel {
            behind: Vec::new(),
            members: self.members.iter().map(member).collect(),
            pod_of: ServingPodIndex::all(pods).collect(),
            pods: (0..pods).map(PodIndex::new).collect(),
            rates: None,
            assignor: KnownAssignor {
                assignor: self.assignor,
                known: Knowledge::Set,
            },
            client: self.family(),
            protocol: self.protocol,
            session_timeout: 45.0,
            removes_static_members: false,
            stable_names: false,
            returns: vec![false; pods],
            startups: Vec::new(),
            topics,
            owners: indices(&self.before, &names(&self.members)).collect(),
        }
    }

    /// The pods of the victims in [`Self::group`].
    #[must_use]
    pub fn victim_pods(&self) -> Vec<ServingPodIndex> {
        let pods = names(&self.members);
        let position = |victim: &String| pods.iter().position(|pod| pod == victim);
        let victims = self.victims.iter().filter_map(position);
        victims.map(ServingPodIndex::new).collect()
    }

    /// The pod that owns each partition in the end. The remaining pods come first, then the
    /// replacements.
    #[must_use]
    pub fn pod_owners_after(&self) -> Vec<Option<ServingPodIndex>> {
        let (_, members) = self.remaining_and_final();
        let pods = names(&members);
        indices(&self.after, &pods)
            .map(|owner| owner.map(|owner| ServingPodIndex::new(owner.get())))
            .collect()
    }

    /// All possible outcomes of the episode according to the assignor, with the ids that the
    /// replacements got. One rebalance or several may process simultaneous changes, and a member
    /// may leave or join during a cooperative rebalance, so there can be several outcomes. An
    /// assignor without stickiness has one outcome.
    #[must_use]
    pub fn replays(&self) -> BTreeSet<Owners> {
        let leaves = self
            .victims
            .iter()
            .map(|pod| MembershipChange::Leave(pod.clone()));
        let joins = self
            .replacements
            .iter()
            .cloned()
            .map(MembershipChange::Join);
        let stages: Vec<Vec<MembershipChange>> = match self.order {
            EpisodeOrder::Together => vec![leaves.chain(joins).collect()],
            EpisodeOrder::LeaveFirst => vec![leaves.collect(), joins.collect()],
            EpisodeOrder::JoinFirst => vec![joins.collect(), leaves.collect()],
        };
        let stages: Vec<&[MembershipChange]> = stages.iter().map(Vec::as_slice).collect();
        let mut outcomes = BTreeSet::new();
        self.play(&self.members, &self.before, &stages, &mut outcomes);
        outcomes
    }

    fn play(
        &self,
        members: &[Consumer],
        owners: &Owners,
        stages: &[&[MembershipChange]],
        outcomes: &mut BTreeSet<Owners>,
    ) {
        let Some((events, later)) = stages.split_first() else {
            outcomes.insert(owners.clone());
            return;
        };
        // Every non-empty subset of the changes as the first batch, encoded in bits.
        for batch in 1..1_usize << events.len() {
            let is_in = |index: &usize| batch & (1 << index) != 0;
            let (now, left): (Vec<usize>, Vec<usize>) = (0..events.len()).partition(is_in);
            let pick = |indices: &[usize]| -> Vec<MembershipChange> {
                let picked = indices.iter().filter_map(|index| events.get(*index));
                picked.cloned().collect()
            };
            let left = pick(&left);
            let mut members = members.to_vec();
            for event in pick(&now) {
                match event {
                    MembershipChange::Leave(pod) => members.retain(|member| member.pod != pod),
                    MembershipChange::Join(member) => members.push(member),
                }
            }
            let (settled, interrupted) = self.rebalance(&members, owners);
            if left.is_empty() {
                self.play(&members, &settled, later, outcomes);
                continue;
            }
            let stages = [&[left.as_slice()], later].concat();
            self.play(&members, &settled, &stages, outcomes);
            if interrupted != settled {
                self.play(&members, &interrupted, &stages, outcomes);
            }
        }
    }

    /// The owners when the group has settled, and those after a single rebalance.
    fn rebalance(&self, members: &[Consumer], owners: &Owners) -> (Owners, Owners) {
        let algorithm = Algorithm::of(self.assignor, self.family(), self.protocol);
        let topics = self.all_topics();
        let subscription = Subscription::all(&topics);
        let previous: Assignment = indices(owners, &names(members)).collect();
        let current: Vec<Member> = members
            .iter()
            .map(|one| member(one.id.clone(), &subscription))
            .collect();
        let named = |assignment: &Assignment| {
            let mut pods = assignment.owners().map(|owner| {
                let owner = owner.and_then(|owner| members.get(owner.get()));
                owner.map_or_else(String::new, |member| member.pod.clone())
            });
            let topics = self.topics.iter();
            topics
                .map(|(topic, size)| (topic.clone(), pods.by_ref().take(*size).collect()))
                .collect()
        };
        let settled = algorithm.settle(&topics, &current, &previous);
        let once = algorithm.assign(&topics, &current, &previous);
        (named(&settled.assignment), named(&once))
    }

    /// The remaining members, and all members after the replacement.
    fn remaining_and_final(&self) -> (Vec<Consumer>, Vec<Consumer>) {
        let mut staying = self.members.clone();
        staying.retain(|member| !self.victims.contains(&member.pod));
        let members = [staying.as_slice(), &self.replacements].concat();
        (staying, members)
    }

    fn all_topics(&self) -> Topics {
        let topics = self.topics.iter();
        Topics::new(topics.map(|(name, size)| (name.clone(), *size)))
    }
}

fn member(id: String, subscription: &Subscription) -> Member {
    Member {
        id,
        instance: None,
        subscription: subscription.clone(),
        rack: None,
    }
}

fn names(members: &[Consumer]) -> Vec<&str> {
    members.iter().map(|member| member.pod.as_str()).collect()
}

/// The owner of each partition, by the position of its pod in `pods`.
fn indices(owners: &Owners, pods: &[&str]) -> impl Iterator<Item = Option<MemberIndex>> {
    let owners = owners.values().flatten();
    owners.map(move |owner| {
        let position = pods.iter().position(|pod| pod == owner);
        position.map(MemberIndex::new)
    })
}
