//! What a real group of consumers did: a settled group, some of its members replaced, and the settled
//! group after that.

use std::collections::{BTreeMap, BTreeSet};

use kafka_assignors::{Algorithm, Assignment, Member, MemberIndex, Subscription, Topics};
use rebalancer_core::forecast::LeaveJoinOrder;
use rebalancer_core::group::{
    Assignor, ClientFamily, GroupModel, Knowledge, KnownAssignor, Protocol, ServingPodIndex,
};
use rebalancer_core::model::PodIndex;
use serde::Deserialize;

/// By topic, the pod that owns each partition.
pub type Owners = BTreeMap<String, Vec<String>>;

/// An episode. As many members are replaced as leave, and all want all topics.
#[derive(Debug, Clone, Deserialize)]
pub struct Episode {
    /// The client library, `java` or `librdkafka`, and its version after a space.
    pub client: String,
    /// The group protocol.
    pub protocol: Protocol,
    /// The assignor.
    pub assignor: Assignor,
    /// Its number among those of this client and assignor.
    #[serde(default)]
    pub episode: usize,
    /// Topics with their numbers of partitions.
    pub topics: BTreeMap<String, usize>,
    /// The members before.
    pub members: Vec<Consumer>,
    /// Who owned what before.
    pub before: Owners,
    /// The pods whose members left.
    pub victims: Vec<String>,
    /// The members that came.
    pub replacements: Vec<Consumer>,
    /// In which order.
    pub order: EpisodeOrder,
    /// Who owned what in the end.
    pub after: Owners,
    /// How many rebalances a classic group took, where that was counted.
    #[serde(default)]
    pub generations: Option<usize>,
}

/// A member that leaves, by its pod, or that joins.
#[derive(Debug, Clone)]
enum Event {
    Leave(String),
    Join(Consumer),
}

/// In which order members left and joined.
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

/// A member, each in a pod of its own.
#[derive(Debug, Clone, Deserialize)]
pub struct Consumer {
    /// The pod.
    pub pod: String,
    /// The member id.
    pub id: String,
}

/// What is known of the members' ids when a forecast is made. Those of the replacements never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// The present ones, as an exporter that reads the group from the broker has them.
    Known,
    /// None, as a consumer that exports its own assignment leaves it.
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

    /// The group before, as a forecast takes it: the pods are those of the members, in their order.
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
            stable_names: false,
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
        let (_, present) = self.present();
        let pods = names(&present);
        indices(&self.after, &pods)
            .map(|owner| owner.map(|owner| ServingPodIndex::new(owner.get())))
            .collect()
    }

    /// All that the assignor itself makes of the episode, by the ids that the replacements came to
    /// have: who owns what in the end. What happens at the same time is taken in by one rebalance or
    /// by several, which nobody decides, and a member may come or go in the middle of a cooperative
    /// rebalance. Where the assignor keeps nothing there is one outcome.
    #[must_use]
    pub fn replays(&self) -> BTreeSet<Owners> {
        let leaves = self.victims.iter().map(|pod| Event::Leave(pod.clone()));
        let joins = self.replacements.iter().cloned().map(Event::Join);
        let stages: Vec<Vec<Event>> = match self.order {
            EpisodeOrder::Together => vec![leaves.chain(joins).collect()],
            EpisodeOrder::LeaveFirst => vec![leaves.collect(), joins.collect()],
            EpisodeOrder::JoinFirst => vec![joins.collect(), leaves.collect()],
        };
        let stages: Vec<&[Event]> = stages.iter().map(Vec::as_slice).collect();
        let mut outcomes = BTreeSet::new();
        self.play(&self.members, &self.before, &stages, &mut outcomes);
        outcomes
    }

    fn play(
        &self,
        members: &[Consumer],
        owners: &Owners,
        stages: &[&[Event]],
        outcomes: &mut BTreeSet<Owners>,
    ) {
        let Some((events, later)) = stages.split_first() else {
            outcomes.insert(owners.clone());
            return;
        };
        // Each set of the events as the first batch, by its bits.
        for batch in 1..1_usize << events.len() {
            let is_in = |place: &usize| batch & (1 << place) != 0;
            let (now, left): (Vec<usize>, Vec<usize>) = (0..events.len()).partition(is_in);
            let pick = |places: &[usize]| -> Vec<Event> {
                let picked = places.iter().filter_map(|place| events.get(*place));
                picked.cloned().collect()
            };
            let left = pick(&left);
            let mut members = members.to_vec();
            for event in pick(&now) {
                match event {
                    Event::Leave(pod) => members.retain(|member| member.pod != pod),
                    Event::Join(member) => members.push(member),
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

    /// The owners when the group has settled, and those after one rebalance alone.
    fn rebalance(&self, members: &[Consumer], owners: &Owners) -> (Owners, Owners) {
        let algorithm = Algorithm::of(self.assignor, self.family(), self.protocol);
        let topics = self.all_topics();
        let subscription = Subscription::all(&topics);
        let previous: Assignment = indices(owners, &names(members)).collect();
        let present: Vec<Member> = members
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
        let settled = algorithm.settle(&topics, &present, &previous);
        let once = algorithm.assign(&topics, &present, &previous);
        (named(&settled.assignment), named(&once))
    }

    /// Those who stay, and all who are there in the end.
    fn present(&self) -> (Vec<Consumer>, Vec<Consumer>) {
        let mut staying = self.members.clone();
        staying.retain(|member| !self.victims.contains(&member.pod));
        let present = [staying.as_slice(), &self.replacements].concat();
        (staying, present)
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
