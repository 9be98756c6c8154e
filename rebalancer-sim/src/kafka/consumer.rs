//! A model of a group of the consumer protocol (KIP-848): its coordinator and its clients, in
//! virtual time.
//!
//! It models what matters to a rejoin: the target assignment of the broker (`uniform`), the
//! reconciliation with each heartbeat (a partition is given to a member only when its former owner
//! has revoked it), removals on request, and how a removed client learns of it at its next
//! heartbeat, gives up its partitions at its next poll, and joins again with its id. It measures
//! how long each partition is processed by two clients, and records every violation: two clients
//! that process a partition although none of them was removed on request.
//!
//! Sources: Kafka's `GroupMetadataManager`, `CurrentAssignmentBuilder`, and the Java client
//! (`AbstractMembershipManager`).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kafka_assignors::{
    Algorithm, Assignment, Member, MemberIndex, PartitionIndex, Subscription, Topics,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rebalancer_core::handover::{CoordinatorRequest, CoordinatorResponse, HandoverLimits};
use rebalancer_core::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, DescribedMember, DescribedTopic,
    GroupKind, GroupState, LeavingMember, MemberLabels,
};

use super::world::{Disturbance, RequestFault, TICK};
use crate::topic::TOPIC;

/// The limit within which the first members must have their partitions.
const STARTUP: Duration = Duration::from_secs(600);

/// A group of the consumer protocol.
#[derive(Debug, Clone)]
pub struct ConsumerGroupConfig {
    /// The number of members.
    pub members: usize,
    /// The number of partitions.
    pub partitions: usize,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat: Duration,
    /// `group.consumer.assignment.interval.ms`: the shortest time between two targets. Zero for
    /// brokers that do not have it.
    pub assignment_interval: Duration,
    /// `group.consumer.session.timeout.ms`.
    pub session: Duration,
    /// The interval between the polls of each member: the longest duration of a batch.
    pub poll: Duration,
    /// Determines the member ids and the times of heartbeats and polls.
    pub seed: u64,
}

impl ConsumerGroupConfig {
    /// A group with the defaults of Kafka 4.
    #[must_use]
    pub fn new(members: usize, partitions: usize) -> Self {
        Self {
            members,
            partitions,
            heartbeat: Duration::from_secs(5),
            assignment_interval: Duration::from_secs(1),
            session: Duration::from_secs(45),
            poll: Duration::from_millis(100),
            seed: 1,
        }
    }
}

/// The state of a client's membership, as the client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Joins with its next heartbeat.
    Joining,
    /// Is a member.
    Member,
    /// Has learned of its removal, and gives up its partitions at its next poll.
    Fenced,
    /// Its process has ended, or hangs.
    Gone,
}

/// A consumer.
#[derive(Debug, Clone)]
struct Client {
    id: String,
    phase: Phase,
    poll: Duration,
    next_heartbeat: Duration,
    next_poll: Duration,
    /// The partitions that the application processes.
    processing: BTreeSet<PartitionIndex>,
    /// The partitions that the coordinator has assigned, applied at the next poll.
    assigned: BTreeSet<PartitionIndex>,
    /// Whether a request has removed it, and it has not joined again.
    removed: bool,
}

/// A member, as the coordinator knows it.
#[derive(Debug, Clone)]
struct ConsumerMember {
    id: String,
    client: usize,
    /// The partitions that the member may own: assigned, or not revoked yet.
    owned: BTreeSet<PartitionIndex>,
    last_seen: Duration,
}

/// A group of the consumer protocol in virtual time.
#[derive(Debug, Clone)]
pub struct ConsumerGroupWorld {
    config: ConsumerGroupConfig,
    now: Duration,
    topics: Topics,
    clients: Vec<Client>,
    members: Vec<ConsumerMember>,
    /// The owners in the target, by member id.
    target: Vec<Option<String>>,
    /// Whether the membership has changed since the target was computed.
    target_is_due: bool,
    target_at: Duration,
    random: ChaCha8Rng,
    requests: Vec<(Duration, CoordinatorRequest, RequestFault)>,
    responses: Vec<(Duration, CoordinatorResponse)>,
    disturbances: VecDeque<(Duration, Disturbance)>,
    violations: Vec<String>,
    /// The time for which each partition has been processed by two clients without a break.
    double: Vec<Duration>,
    longest_double: Duration,
}

impl ConsumerGroupWorld {
    /// A group that has settled; one that does not settle reports a violation.
    #[must_use]
    pub fn new(config: ConsumerGroupConfig) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            topics: Topics::new([(TOPIC.to_owned(), config.partitions)]),
            clients: Vec::new(),
            members: Vec::new(),
            target: vec![None; config.partitions],
            target_is_due: false,
            target_at: Duration::ZERO,
            random: ChaCha8Rng::seed_from_u64(config.seed),
            requests: Vec::new(),
            responses: Vec::new(),
            disturbances: VecDeque::new(),
            violations: Vec::new(),
            double: vec![Duration::ZERO; config.partitions],
            longest_double: Duration::ZERO,
            config,
        };
        for _ in 0..world.config.members {
            world.start_client();
        }
        while world.now < STARTUP && !world.is_settled() {
            world.tick();
        }
        if !world.is_settled() {
            world.violations.push("the group did not settle".into());
        }
        world
    }

    fn start_client(&mut self) {
        let id = format!("{:032x}", self.random.random::<u128>());
        let within =
            |random: &mut ChaCha8Rng, limit: Duration| limit.mul_f64(random.random_range(0.0..1.0));
        let next_heartbeat = self.now + within(&mut self.random, self.config.heartbeat);
        let next_poll = self.now + within(&mut self.random, self.config.poll);
        self.clients.push(Client {
            id,
            phase: Phase::Joining,
            poll: self.config.poll,
            next_heartbeat,
            next_poll,
            processing: BTreeSet::new(),
            assigned: BTreeSet::new(),
            removed: false,
        });
    }

    /// The time since the group began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The topics.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// The violations so far.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The longest time for which two clients processed a partition.
    #[must_use]
    pub fn longest_double_processing(&self) -> Duration {
        self.longest_double
    }

    /// The member id of each client, in the order in which they were started.
    #[must_use]
    pub fn client_ids(&self) -> Vec<String> {
        self.clients
            .iter()
            .map(|client| client.id.clone())
            .collect()
    }

    /// The clients that process each partition.
    #[must_use]
    pub fn processing(&self) -> Vec<Vec<usize>> {
        let mut processing = vec![Vec::new(); self.config.partitions];
        for (index, client) in self.clients.iter().enumerate() {
            for partition in &client.processing {
                if let Some(clients) = processing.get_mut(partition.get()) {
                    clients.push(index);
                }
            }
        }
        processing
    }

    /// Whether the running clients, and no others, are the members, and process what the target
    /// gives them.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let is_member = |id: &String| self.members.iter().any(|member| member.id == *id);
        let mut clients = self.clients.iter();
        let calm = clients.all(|client| match client.phase {
            // A client learns of its removal with its next heartbeat.
            Phase::Member => client.processing == client.assigned && is_member(&client.id),
            Phase::Joining | Phase::Fenced => false,
            Phase::Gone => true,
        });
        calm && self.running() == self.members.len() && self.state() == GroupState::Stable
    }

    /// Lets something happen to the group at a time. Times must ascend.
    pub fn disturb_at(&mut self, at: Duration, disturbance: Disturbance) {
        self.disturbances.push_back((at, disturbance));
    }

    /// Sends a request of a rejoin.
    pub fn send(&mut self, request: CoordinatorRequest, fault: RequestFault) {
        let delay = match fault {
            RequestFault::Slow(delay) | RequestFault::Breaks { arrives: delay, .. } => delay,
            RequestFault::None | RequestFault::LostRequest | RequestFault::LostResponse => {
                Duration::ZERO
            }
        };
        self.requests
            .push((self.now + TICK + delay, request, fault));
    }

    /// Forgets the responses that the process of the rejoin waits for, as if it was killed.
    pub fn kill(&mut self) {
        self.responses.clear();
    }

    /// Advances to the next response to the rejoin, at most to `until`.
    pub fn run_until(&mut self, until: Duration) -> Option<CoordinatorResponse> {
        loop {
            let due = self.responses.iter().position(|(at, _)| *at <= self.now);
            if let Some(index) = due {
                return Some(self.responses.remove(index).1);
            }
            if self.now >= until {
                return None;
            }
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        while let Some((_, disturbance)) = self.disturbances.pop_front_if(|(at, _)| *at <= self.now)
        {
            self.disturb(disturbance);
        }
        self.expire();
        let due = self.requests.extract_if(.., |(at, _, _)| *at <= self.now);
        for (_, request, fault) in due.collect::<Vec<_>>() {
            self.handle(&request, fault);
        }
        for index in 0..self.clients.len() {
            self.advance_client(index);
        }
        self.compute_target();
        self.check_owners();
    }

    fn disturb(&mut self, disturbance: Disturbance) {
        let client = |clients: &Vec<Client>, index: usize| index % clients.len().max(1);
        match disturbance {
            Disturbance::Joins => self.start_client(),
            // The last member stays.
            Disturbance::Leaves(_) | Disturbance::Dies(_) if self.running() < 2 => {}
            Disturbance::Leaves(index) | Disturbance::Dies(index) => {
                let index = client(&self.clients, index);
                let Some(client) = self.clients.get_mut(index) else {
                    return;
                };
                client.phase = Phase::Gone;
                client.processing.clear();
                let id = client.id.clone();
                if matches!(disturbance, Disturbance::Leaves(_)) {
                    self.remove(&id);
                }
            }
            Disturbance::Slows(index, poll) => {
                let index = client(&self.clients, index);
                if let Some(client) = self.clients.get_mut(index) {
                    client.poll = poll;
                }
            }
        }
    }

    /// The number of clients whose processes run.
    fn running(&self) -> usize {
        let clients = self.clients.iter();
        clients.filter(|client| client.phase != Phase::Gone).count()
    }

    fn expire(&mut self) {
        let (now, session) = (self.now, self.config.session);
        let is_expired = |member: &&ConsumerMember| now.saturating_sub(member.last_seen) > session;
        let expired = self.members.iter().filter(is_expired);
        for id in expired.map(|member| member.id.clone()).collect::<Vec<_>>() {
            self.remove(&id);
        }
    }

    /// Removes a member, whose partitions are free at once.
    fn remove(&mut self, id: &str) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.id != id);
        let was_member = self.members.len() < before;
        self.target_is_due |= was_member;
        was_member
    }

    fn handle(&mut self, request: &CoordinatorRequest, fault: RequestFault) {
        let lost = CoordinatorError::new(CoordinatorErrorKind::Lost, "no response");
        let is_lost = fault.has_no_response();
        let response = match request {
            CoordinatorRequest::Describe => {
                let described = self.describe();
                CoordinatorResponse::Described(if is_lost { Err(lost) } else { Ok(described) })
            }
            CoordinatorRequest::Leave { members, .. } => {
                let results = if fault == RequestFault::LostRequest {
                    Vec::new()
                } else {
                    self.leave(members)
                };
                CoordinatorResponse::Left(if is_lost { Err(lost) } else { Ok(results) })
            }
            CoordinatorRequest::DrawMemberId(_)
            | CoordinatorRequest::Join(_)
            | CoordinatorRequest::Sync(_)
            | CoordinatorRequest::Heartbeat { .. } => {
                self.violations.push(format!(
                    "a member of ours in a group of KIP-848: {request:?}"
                ));
                return;
            }
        };
        let delay = match fault {
            RequestFault::None => TICK,
            RequestFault::Slow(delay) => TICK + delay,
            RequestFault::LostRequest | RequestFault::LostResponse => HandoverLimits::REQUEST,
            RequestFault::Breaks { noticed, .. } => noticed,
        };
        self.responses.push((self.now + delay, response));
    }

    fn leave(&mut self, leaving: &[LeavingMember]) -> Vec<Result<(), CoordinatorErrorKind>> {
        let leaving = leaving.iter();
        let results = leaving.map(|leaving| {
            let id = &leaving.member_id;
            let member = self.members.iter().find(|member| member.id == *id);
            let client = member.map(|member| member.client);
            let client = client.and_then(|index| self.clients.get_mut(index));
            if let Some(client) = client {
                client.removed = true;
            }
            if self.remove(id) {
                Ok(())
            } else {
                Err(CoordinatorErrorKind::UnknownMember)
            }
        });
        results.collect()
    }

    fn advance_client(&mut self, index: usize) {
        let now = self.now;
        let heartbeat = self.config.heartbeat;
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        if client.phase == Phase::Gone {
            return;
        }
        if now >= client.next_poll {
            client.next_poll = now + client.poll;
            match client.phase {
                Phase::Fenced => {
                    client.processing.clear();
                    client.assigned.clear();
                    client.phase = Phase::Joining;
                    // It joins again at once.
                    client.next_heartbeat = now;
                }
                Phase::Member if client.processing != client.assigned => {
                    client.processing.clone_from(&client.assigned);
                    // It acknowledges at once what it has revoked and taken.
                    client.next_heartbeat = now;
                }
                Phase::Member | Phase::Joining | Phase::Gone => {}
            }
        }
        if now < client.next_heartbeat {
            return;
        }
        client.next_heartbeat = now + heartbeat;
        match client.phase {
            Phase::Joining => {
                client.phase = Phase::Member;
                client.removed = false;
                let id = client.id.clone();
                self.members.push(ConsumerMember {
                    id,
                    client: index,
                    owned: BTreeSet::new(),
                    last_seen: now,
                });
                self.target_is_due = true;
            }
            Phase::Member => self.heartbeat(index),
            Phase::Fenced | Phase::Gone => {}
        }
    }

    /// A heartbeat of a member: the coordinator notes what it has revoked, and assigns what is
    /// free.
    fn heartbeat(&mut self, index: usize) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        let id = client.id.clone();
        let Some(position) = self.members.iter().position(|member| member.id == id) else {
            client.phase = Phase::Fenced;
            return;
        };
        let processing = client.processing.clone();
        let assigned = client.assigned.clone();
        let wanted: BTreeSet<PartitionIndex> = self
            .target
            .iter()
            .enumerate()
            .filter(|(_, owner)| owner.as_ref() == Some(&id))
            .map(|(partition, _)| PartitionIndex::new(partition))
            .collect();
        let others: BTreeSet<PartitionIndex> = self
            .members
            .iter()
            .filter(|member| member.id != id)
            .flat_map(|member| member.owned.iter().copied())
            .collect();
        let Some(member) = self.members.get_mut(position) else {
            return;
        };
        member.last_seen = now;
        // The partitions that the member processes, or that were assigned to it, stay its own until
        // it has revoked them.
        let kept = member.owned.iter().copied();
        let kept =
            kept.filter(|partition| processing.contains(partition) || assigned.contains(partition));
        let mut owned: BTreeSet<PartitionIndex> = kept.collect();
        let to_revoke = owned.difference(&wanted).count();
        let mut next: BTreeSet<PartitionIndex> = owned.intersection(&wanted).copied().collect();
        if to_revoke == 0 {
            next.extend(wanted.difference(&others));
            owned.extend(&next);
        }
        member.owned = owned;
        if let Some(client) = self.clients.get_mut(index) {
            client.assigned = next;
        }
    }

    /// Computes the target for the current members, if it is due.
    fn compute_target(&mut self) {
        let is_early = self.now < self.target_at + self.config.assignment_interval;
        if !self.target_is_due || is_early {
            return;
        }
        self.members.sort_by(|one, other| one.id.cmp(&other.id));
        let members: Vec<Member> = self
            .members
            .iter()
            .map(|member| Member {
                id: member.id.clone(),
                instance: None,
                subscription: Subscription::all(&self.topics),
                rack: None,
            })
            .collect();
        let index = |id: &String| {
            let position = self.members.iter().position(|member| member.id == *id)?;
            Some(MemberIndex::new(position))
        };
        let owners = self.target.iter();
        let previous: Assignment = owners.map(|owner| index(owner.as_ref()?)).collect();
        let target = Algorithm::Uniform.assign(&self.topics, &members, &previous);
        self.target = target
            .owners()
            .map(|owner| Some(members.get(owner?.get())?.id.clone()))
            .collect();
        self.target_is_due = false;
        self.target_at = self.now;
    }

    /// Two clients process a partition only if one of them was removed and has not noticed it.
    fn check_owners(&mut self) {
        for (partition, clients) in self.processing().into_iter().enumerate() {
            let Some(double) = self.double.get_mut(partition) else {
                continue;
            };
            if clients.len() < 2 {
                *double = Duration::ZERO;
                continue;
            }
            *double += TICK;
            self.longest_double = self.longest_double.max(*double);
            let regular = clients.iter().filter(|index| {
                let client = self.clients.get(**index);
                client.is_some_and(|client| !client.removed)
            });
            if regular.count() > 1 && self.violations.len() < 20 {
                let at = self.now.as_secs_f64();
                self.violations.push(format!(
                    "partition {partition} is processed by several members at {at:.3} s"
                ));
            }
        }
    }

    fn state(&self) -> GroupState {
        let wanted = |member: &ConsumerMember| {
            let target = self.target.iter().enumerate();
            let wanted = target
                .filter(|(_, owner)| owner.as_ref() == Some(&member.id))
                .map(|(partition, _)| PartitionIndex::new(partition));
            member.owned.iter().copied().eq(wanted)
        };
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.target_is_due {
            GroupState::Rebalancing("Assigning".into())
        } else if self.members.iter().all(wanted) {
            GroupState::Stable
        } else {
            GroupState::Rebalancing("Reconciling".into())
        }
    }

    /// The group as its coordinator describes it.
    #[must_use]
    pub fn describe(&self) -> DescribedGroup {
        let mut members: Vec<DescribedMember> = self
            .members
            .iter()
            .map(|member| DescribedMember {
                labels: MemberLabels {
                    pod: None,
                    host: Some(format!("/10.0.0.{}", member.client)),
                    client_id: Some(format!("consumer-{}", member.client)),
                    member_id: Some(member.id.clone()),
                    instance: None,
                },
                rack: None,
                subscription: Some(vec![TOPIC.to_owned()]),
                owned: member
                    .owned
                    .iter()
                    .filter_map(|partition| {
                        Some((TOPIC.to_owned(), u32::try_from(partition.get()).ok()?))
                    })
                    .collect(),
                client: None,
                classic_in_consumer_group: false,
                has_assignment_user_data: false,
            })
            .collect();
        members.sort_by(|one, other| one.labels.member_id.cmp(&other.labels.member_id));
        DescribedGroup {
            kind: GroupKind::Consumer,
            state: self.state(),
            protocol_type: "consumer".into(),
            assignor: Some("uniform".into()),
            removable_members: true,
            members,
            topics: vec![DescribedTopic {
                name: TOPIC.to_owned(),
                partition_racks: vec![Vec::new(); self.config.partitions],
            }],
            cluster_id: None,
        }
    }
}
