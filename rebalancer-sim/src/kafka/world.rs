//! The group in virtual time: it takes requests of a hand-over, and checks what it must guarantee.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex, TopicIndex, Topics};
use rebalancer_core::handover::{CoordinatorRequest, CoordinatorResponse, HandoverLimits};
use rebalancer_core::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, DescribedMember, DescribedTopic,
    GroupKind, GroupState, JoinRequest, JoinedGroup, JoinedMember, JoinedSubscription,
    LeavingMember, MemberAssignment, MemberLabels, OwnMember, SyncRequest, TopicPartition,
};

use super::client::{Client, ClientIdentity, ClientKind, Pace};
use super::coordinator::{Answer, Coordinator, Join, Metadata, Sender, State};
use super::election::ElectionOrder;
use crate::topic::TOPIC;

/// The resolution of virtual time, which is also the duration of each way of a request.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// The number of the run if there is only one.
const ONLY_RUN: usize = 0;

/// The limit within which the first generation must settle.
const STARTUP: Duration = Duration::from_secs(600);

/// A group.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The client library of all members.
    pub kind: ClientKind,
    /// The number of members.
    pub members: usize,
    /// The number of partitions.
    pub partitions: usize,
    /// The order in which the coordinator elects leaders.
    pub order: ElectionOrder,
    /// Whether the release of a pending id in a stable group begins a rebalance (Kafka 4).
    pub rebalances_on_release: bool,
    /// `heartbeat.interval.ms`.
    pub heartbeat: Duration,
    /// The interval between the polls of each member.
    pub poll: Duration,
    /// A member that polls at another interval.
    pub slow: Option<(usize, Duration)>,
    /// `session.timeout.ms`.
    pub session: Duration,
    /// `max.poll.interval.ms`.
    pub rebalance_timeout: Duration,
    /// Determines the member ids.
    pub seed: u64,
}

impl GroupConfig {
    /// A group with the clients' default timeouts.
    #[must_use]
    pub fn new(kind: ClientKind, members: usize, partitions: usize, order: ElectionOrder) -> Self {
        Self {
            kind,
            members,
            partitions,
            order,
            rebalances_on_release: true,
            heartbeat: Duration::from_secs(3),
            poll: Duration::from_millis(100),
            slow: None,
            session: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            seed: 1,
        }
    }
}

/// A fault of a request of the hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestFault {
    /// Nothing.
    #[default]
    None,
    /// The request does not arrive; its sender gets no response in time.
    LostRequest,
    /// The request is handled, but its sender gets no response.
    LostResponse,
    /// Each way takes this much longer.
    Slow(Duration),
    /// The connection breaks: the sender gets no response.
    Breaks {
        /// The time until the request takes effect all the same.
        arrives: Duration,
        /// The time until the sender notices that the connection is broken.
        noticed: Duration,
    },
}

impl RequestFault {
    /// Whether the sender gets no response.
    #[must_use]
    pub fn has_no_response(self) -> bool {
        match self {
            Self::LostRequest | Self::LostResponse | Self::Breaks { .. } => true,
            Self::None | Self::Slow(_) => false,
        }
    }
}

/// A disturbance of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// A new member joins.
    Joins,
    /// A member leaves.
    Leaves(usize),
    /// The process of a member ends or hangs without leaving.
    Dies(usize),
    /// A member polls only at this interval from now on.
    Slows(usize, Duration),
}

/// A member of a group that has been stable for long.
#[derive(Debug, Clone)]
pub(crate) struct RunningMember {
    pub(crate) identity: ClientIdentity,
    pub(crate) member_id: String,
    pub(crate) owned: Vec<PartitionIndex>,
    /// Whether the process of this static member has ended.
    pub(crate) absent: bool,
}

/// A client, as its group sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientView<'a> {
    /// Empty while it is not a member.
    pub(crate) member_id: &'a str,
    pub(crate) instance: Option<&'a str>,
    /// Whether its process runs.
    pub(crate) runs: bool,
    /// Whether the coordinator has it as a member.
    pub(crate) is_member: bool,
    pub(crate) processing: &'a BTreeSet<PartitionIndex>,
}

/// A consumer group in virtual time.
#[derive(Debug, Clone)]
pub struct GroupWorld {
    config: GroupConfig,
    now: Duration,
    topics: Topics,
    coordinator: Coordinator,
    clients: Vec<Client>,
    /// Requests of hand-overs on their way, with their runs.
    requests: Vec<(Duration, usize, CoordinatorRequest, RequestFault)>,
    /// Responses to hand-overs on their way, with their runs.
    responses: Vec<(Duration, usize, CoordinatorResponse)>,
    /// The faults of the parked requests of each own member of a run.
    parked: Vec<(usize, OwnMember, RequestFault)>,
    disturbances: VecDeque<(Duration, Disturbance)>,
    violations: Vec<String>,
    /// The owners after the last tick.
    owners: Vec<Option<usize>>,
    /// Whether owners or members have changed since this was asked.
    changed: bool,
    /// The time for which each partition was not processed.
    idle: Vec<Duration>,
}

impl GroupWorld {
    /// A group that has settled.
    ///
    /// # Panics
    /// Never; a group that does not settle reports a violation.
    #[must_use]
    pub fn new(config: GroupConfig) -> Self {
        let mut world = Self::empty(config, Duration::ZERO);
        for _ in 0..world.config.members {
            world.add_client();
        }
        while world.now < STARTUP && !world.is_settled() {
            world.tick();
        }
        if !world.is_settled() {
            world.violations.push("the group did not settle".into());
        }
        world.idle.fill(Duration::ZERO);
        world
    }

    /// A group that has been stable for long, with these members instead of those of the
    /// configuration. If its membership has just changed, it `rebalances`.
    pub(crate) fn running(
        config: GroupConfig,
        now: Duration,
        members: Vec<RunningMember>,
        rebalances: bool,
    ) -> Self {
        let mut world = Self::empty(config, now);
        for member in members {
            let index = world.start_client(member.identity);
            let Some(client) = world.clients.get_mut(index) else {
                continue;
            };
            let owned: BTreeSet<PartitionIndex> = member.owned.iter().copied().collect();
            let claims = if client.kind.is_cooperative() {
                owned.clone()
            } else {
                BTreeSet::new()
            };
            world.coordinator.adopt(
                now,
                Sender::Client(index),
                (member.member_id.clone(), client.identity.instance.clone()),
                Metadata {
                    subscribed: true,
                    claims,
                },
                member.owned,
                world.config.session,
            );
            client.adopt(now, member.member_id, world.coordinator.generation, owned);
            if member.absent {
                client.stop();
            }
        }
        if rebalances {
            world.coordinator.prepare_rebalance(now);
        }
        world.check_owners();
        world.idle.fill(Duration::ZERO);
        world
    }

    fn empty(config: GroupConfig, now: Duration) -> Self {
        Self {
            now,
            topics: Topics::new([(TOPIC.to_owned(), config.partitions)]),
            coordinator: Coordinator::new(
                config.order,
                config.rebalances_on_release,
                config.rebalance_timeout,
                config.seed,
            ),
            clients: Vec::new(),
            requests: Vec::new(),
            responses: Vec::new(),
            parked: Vec::new(),
            disturbances: VecDeque::new(),
            violations: Vec::new(),
            owners: vec![None; config.partitions],
            changed: true,
            idle: vec![Duration::ZERO; config.partitions],
            config,
        }
    }

    fn add_client(&mut self) {
        let index = self.clients.len();
        self.start_client(ClientIdentity::numbered(self.config.kind, index));
    }

    /// Starts a client, and returns its index.
    pub(crate) fn start_client(&mut self, identity: ClientIdentity) -> usize {
        let index = self.clients.len();
        let poll = match self.config.slow {
            Some((slow, poll)) if slow == index => poll,
            Some(_) | None => self.config.poll,
        };
        let pace = Pace {
            heartbeat: self.config.heartbeat,
            poll,
            session: self.config.session,
        };
        let client = Client::new(self.config.kind, index, identity, pace, self.now);
        self.clients.push(client);
        index
    }

    /// The clients, in the order in which they were started.
    pub(crate) fn clients(&self) -> impl Iterator<Item = ClientView<'_>> {
        self.clients.iter().map(|client| ClientView {
            member_id: &client.member_id,
            instance: client.identity.instance.as_deref(),
            runs: !client.is_gone(),
            is_member: self.coordinator.find(&client.member_id).is_some(),
            processing: &client.processing,
        })
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

    /// The number of rebalances since the group began.
    #[must_use]
    pub fn rebalances(&self) -> u32 {
        self.coordinator.rebalances
    }

    /// The longest time for which a partition was not processed, since the group had settled.
    #[must_use]
    pub fn longest_pause(&self) -> Duration {
        self.idle.iter().copied().max().unwrap_or_default()
    }

    /// The time for which each partition was not processed, since the group had settled.
    #[must_use]
    pub fn pauses(&self) -> &[Duration] {
        &self.idle
    }

    /// The number of partitions that members processed until a heartbeat showed that they had been
    /// removed. A member that is removed while it waits in JoinGroup learns of it at once.
    #[must_use]
    pub fn late_losses(&self) -> usize {
        self.clients.iter().map(|client| client.lost).sum()
    }

    /// Whether the group is stable, the running clients, and no others, are its members, and no
    /// pending id is left.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let members = &self.coordinator.members;
        // A client learns of its removal with its next heartbeat.
        let is_member = |client: &Client| {
            let mut members = members.iter();
            client.is_settled() && members.any(|member| member.sender == client.sender())
        };
        let mut running = self.clients.iter().filter(|client| !client.is_gone());
        let count = running.clone().count();
        self.coordinator.is_at_rest() && count == members.len() && running.all(is_member)
    }

    /// The clients that process each partition.
    #[must_use]
    pub fn processing(&self) -> Vec<Vec<usize>> {
        let mut processing = vec![Vec::new(); self.config.partitions];
        for (index, client) in self.clients.iter().enumerate() {
            for partition in &client.processing {
                if let Some(list) = processing.get_mut(partition.get()) {
                    list.push(index);
                }
            }
        }
        processing
    }

    /// The owner of each partition, as the index of its client.
    #[must_use]
    pub fn owners(&self) -> Assignment {
        let owners = self.processing().into_iter();
        owners
            .map(|clients| clients.first().copied().map(MemberIndex::new))
            .collect()
    }

    /// The current member id of each client; empty if it is not a member.
    #[must_use]
    pub fn member_ids(&self) -> Vec<String> {
        let clients = self.clients.iter();
        clients.map(|client| client.member_id.clone()).collect()
    }

    /// Lets something happen to the group at a time. Times must ascend.
    pub fn disturb_at(&mut self, at: Duration, disturbance: Disturbance) {
        self.disturbances.push_back((at, disturbance));
    }

    /// Sends a request of a hand-over.
    pub fn send(&mut self, request: CoordinatorRequest, fault: RequestFault) {
        self.send_of(ONLY_RUN, request, fault);
    }

    /// Sends a request of the hand-over of this run.
    pub(crate) fn send_of(&mut self, run: usize, request: CoordinatorRequest, fault: RequestFault) {
        let delay = match fault {
            RequestFault::Slow(delay) => delay,
            RequestFault::Breaks { arrives, noticed } => {
                let response = no_response(&request);
                self.responses
                    .push((self.now + TICK + noticed, run, response));
                arrives
            }
            RequestFault::None | RequestFault::LostRequest | RequestFault::LostResponse => {
                Duration::ZERO
            }
        };
        self.requests
            .push((self.now + TICK + delay, run, request, fault));
    }

    /// Forgets what the process of the hand-over has in flight, as if it was killed.
    pub fn kill_handover(&mut self) {
        self.requests.clear();
        self.responses.clear();
        self.parked.clear();
    }

    /// Advances to the next response to the hand-over, at most to `until`.
    pub fn run_until(&mut self, until: Duration) -> Option<CoordinatorResponse> {
        loop {
            let due = self.responses.iter().position(|(at, _, _)| *at <= self.now);
            if let Some(index) = due {
                return Some(self.responses.remove(index).2);
            }
            if self.now >= until {
                return None;
            }
            self.tick();
        }
    }

    /// The responses that have arrived, with their runs.
    pub(crate) fn take_responses(&mut self) -> Vec<(usize, CoordinatorResponse)> {
        let now = self.now;
        let due = self.responses.extract_if(.., |(at, _, _)| *at <= now);
        due.map(|(_, run, response)| (run, response)).collect()
    }

    /// Whether no request and no response is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.requests.is_empty() && self.responses.is_empty()
    }

    /// Whether owners or members have changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether the group is in a rebalance.
    pub(crate) fn is_rebalancing(&self) -> bool {
        !matches!(self.coordinator.state, State::Stable | State::Empty)
    }

    /// Advances by the resolution of time.
    pub(crate) fn tick(&mut self) {
        self.now += TICK;
        while let Some((_, disturbance)) = self.disturbances.pop_front_if(|(at, _)| *at <= self.now)
        {
            self.disturb(disturbance);
        }
        let members = self.coordinator.members.len();
        self.coordinator.expire(self.now);
        let due = self
            .requests
            .extract_if(.., |(at, _, _, _)| *at <= self.now);
        let due: Vec<_> = due.collect();
        for (_, run, request, fault) in due {
            self.handle(run, request, fault);
            self.deliver();
        }
        for client in &mut self.clients {
            client.tick(self.now, &mut self.coordinator, &self.topics);
        }
        self.deliver();
        self.changed |= self.coordinator.members.len() != members;
        self.check_owners();
    }

    /// Lets a client leave the group and end.
    pub(crate) fn end_client(&mut self, index: usize) {
        self.disturb(Disturbance::Leaves(index));
        self.deliver();
        self.check_owners();
        self.changed = true;
    }

    /// Ends the process of a client, which does not leave the group.
    pub(crate) fn kill_client(&mut self, index: usize) {
        self.disturb(Disturbance::Dies(index));
        self.check_owners();
        self.changed = true;
    }

    fn disturb(&mut self, disturbance: Disturbance) {
        match disturbance {
            Disturbance::Joins => self.add_client(),
            Disturbance::Leaves(index) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.leave(self.now, &mut self.coordinator);
                }
            }
            Disturbance::Dies(index) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.stop();
                }
            }
            Disturbance::Slows(index, poll) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.set_poll(poll);
                }
            }
        }
    }

    /// Delivers the coordinator's responses. Those to clients may cause further ones.
    fn deliver(&mut self) {
        loop {
            let answers = self.coordinator.take_answers();
            if answers.is_empty() {
                return;
            }
            for (to, answer) in answers {
                self.changed = true;
                match to {
                    Sender::Client(index) => {
                        if let Some(client) = self.clients.get_mut(index) {
                            client.receive(self.now, answer);
                        }
                    }
                    Sender::Own { run, own } => self.deliver_to_own(run, own, answer),
                }
            }
        }
    }

    fn deliver_to_own(&mut self, run: usize, own: OwnMember, answer: Answer) {
        let fault = self
            .parked
            .iter()
            .position(|(of, parked, _)| (*of, *parked) == (run, own))
            .map(|index| self.parked.remove(index).2);
        // The process that asked was killed.
        let Some(fault) = fault else {
            return;
        };
        let response = match answer {
            Answer::IdRequired(id) => CoordinatorResponse::Drawn(own, Ok(id)),
            Answer::Joined(joined) => CoordinatorResponse::Joined(
                own,
                joined.map(|joined| self.joined(joined)).map_err(refused),
            ),
            Answer::Synced(partitions) => CoordinatorResponse::Synced(
                own,
                partitions
                    .map(|partitions| self.names(&partitions.unwrap_or_default()))
                    .map_err(refused),
            ),
        };
        self.respond(run, response, fault);
    }

    fn respond(&mut self, run: usize, response: CoordinatorResponse, fault: RequestFault) {
        let (at, response) = match fault {
            RequestFault::None => (TICK, response),
            RequestFault::Slow(delay) => (TICK + delay, response),
            RequestFault::LostRequest | RequestFault::LostResponse => {
                let limit = if matches!(response, CoordinatorResponse::Heartbeat(..)) {
                    HandoverLimits::HEARTBEAT_RESPONSE
                } else {
                    HandoverLimits::REQUEST
                };
                (limit, lost(response))
            }
            // The sender already has a response.
            RequestFault::Breaks { .. } => return,
        };
        self.responses.push((self.now + at, run, response));
    }

    fn handle(&mut self, run: usize, request: CoordinatorRequest, fault: RequestFault) {
        if fault == RequestFault::LostRequest {
            return self.respond(run, no_response(&request), fault);
        }
        // The sender of a request on a connection that breaks is no longer there for the response.
        let waits = !matches!(fault, RequestFault::Breaks { .. });
        match request {
            CoordinatorRequest::Describe => {
                let described = self.describe();
                self.respond(run, CoordinatorResponse::Described(Ok(described)), fault);
            }
            CoordinatorRequest::DrawMemberId(request) | CoordinatorRequest::Join(request) => {
                if waits {
                    self.parked.push((run, request.own, fault));
                }
                self.join(run, request);
            }
            CoordinatorRequest::Sync(request) => {
                if waits {
                    self.parked.push((run, request.own, fault));
                }
                self.sync(run, request);
            }
            CoordinatorRequest::Heartbeat {
                own,
                member_id,
                generation,
            } => {
                let coordinator = &mut self.coordinator;
                let result = coordinator.heartbeat(self.now, &member_id, generation);
                let response = CoordinatorResponse::Heartbeat(own, result.map_err(refused));
                self.respond(run, response, fault);
            }
            CoordinatorRequest::Leave { members, .. } => {
                let results = self.leave(&members);
                self.respond(run, CoordinatorResponse::Left(Ok(results)), fault);
            }
        }
    }

    fn join(&mut self, run: usize, request: JoinRequest) {
        self.coordinator.join(
            self.now,
            Join {
                sender: Sender::Own {
                    run,
                    own: request.own,
                },
                member_id: request.member_id,
                client_id: "rebalancer".into(),
                instance: None,
                metadata: Metadata::default(),
                session: request.session_timeout,
            },
        );
    }

    fn sync(&mut self, run: usize, request: SyncRequest) {
        let leads = self.coordinator.leader.as_deref() == Some(request.member_id.as_str())
            && self.coordinator.state == State::CompletingRebalance
            && self.coordinator.generation == request.generation;
        if leads {
            self.check_assignments(&request.assignments);
        }
        let assignments: Vec<(String, Vec<PartitionIndex>)> = request
            .assignments
            .iter()
            .map(|entry| {
                let partitions = entry.partitions.iter();
                let partitions =
                    partitions.map(|(_, number)| PartitionIndex::new(*number as usize));
                (entry.member_id.clone(), partitions.collect())
            })
            .collect();
        self.coordinator.sync(
            self.now,
            Sender::Own {
                run,
                own: request.own,
            },
            &request.member_id,
            request.generation,
            &assignments,
        );
    }

    fn leave(&mut self, members: &[LeavingMember]) -> Vec<Result<(), CoordinatorErrorKind>> {
        for member in members {
            let foreign = self
                .coordinator
                .find(&member.member_id)
                .is_some_and(|member| matches!(member.sender, Sender::Client(_)));
            if foreign && !self.is_held_open() {
                let id = &member.member_id;
                self.violations.push(format!(
                    "member {id} was removed outside a join phase that is held open"
                ));
            }
        }
        let now = self.now;
        let results = members
            .iter()
            .map(|member| self.coordinator.leave(now, &member.member_id));
        results.collect()
    }

    /// Whether the group is in a join phase that a member of ours holds open.
    fn is_held_open(&self) -> bool {
        let joining = matches!(self.coordinator.state, State::PreparingRebalance { .. });
        let held = self.coordinator.members.iter().any(|member| {
            matches!(member.sender, Sender::Own { .. }) && !self.coordinator.is_parked(&member.id)
        });
        joining && held
    }

    /// Checks what a hand-over hands out as the leader.
    fn check_assignments(&mut self, assignments: &[MemberAssignment]) {
        let mut given = BTreeSet::new();
        let mut violations = Vec::new();
        for member in &self.coordinator.members {
            let mut entries = assignments
                .iter()
                .filter(|entry| entry.member_id == member.id);
            let Some(entry) = entries.next() else {
                violations.push(format!("member {} has no entry", member.id));
                continue;
            };
            if entries.next().is_some() {
                violations.push(format!("member {} has two entries", member.id));
            }
            if !member.metadata.subscribed && !entry.partitions.is_empty() {
                violations.push(format!("member {} does not subscribe", member.id));
            }
            for (topic, number) in &entry.partitions {
                let partition = PartitionIndex::new(*number as usize);
                if topic != TOPIC || partition.get() >= self.config.partitions {
                    violations.push(format!("unknown partition {topic}-{number}"));
                }
                if !given.insert(partition) {
                    violations.push(format!("partition {number} is given to two members"));
                }
                let mut others = self.coordinator.members.iter();
                let claimed = others.any(|other| {
                    other.id != member.id && other.metadata.claims.contains(&partition)
                });
                if claimed {
                    violations.push(format!("partition {number} is claimed by another member"));
                }
            }
        }
        self.violations.extend(violations);
    }

    /// No partition may be processed by two clients.
    fn check_owners(&mut self) {
        let mut owners = vec![None; self.config.partitions];
        let mut contested = BTreeSet::new();
        for (index, client) in self.clients.iter().enumerate() {
            for partition in &client.processing {
                if let Some(owner) = owners.get_mut(partition.get())
                    && owner.replace(index).is_some()
                {
                    contested.insert(*partition);
                }
            }
        }
        for (owner, idle) in owners.iter().zip(&mut self.idle) {
            if owner.is_none() {
                *idle += TICK;
            }
        }
        for partition in contested {
            if self.violations.len() < 20 {
                let (at, number) = (self.now.as_secs_f64(), partition.get());
                self.violations.push(format!(
                    "partition {number} is processed by several clients at {at:.3} s"
                ));
            }
        }
        self.changed |= owners != self.owners;
        self.owners = owners;
        for client in &mut self.clients {
            if std::mem::take(&mut client.failed) {
                let id = client.member_id.clone();
                self.violations
                    .push(format!("member {id} failed on an assignment of zero bytes"));
            }
        }
    }

    fn names(&self, partitions: &[PartitionIndex]) -> Vec<TopicPartition> {
        let named = partitions.iter().filter_map(|partition| {
            let (topic, number) = self.topics.locate(*partition)?;
            let number = u32::try_from(number).ok()?;
            Some((self.topics.name(topic).to_owned(), number))
        });
        named.collect()
    }

    fn joined(&self, joined: super::coordinator::Joined) -> JoinedGroup {
        JoinedGroup {
            generation: joined.generation,
            leader: joined.leader,
            assignor: self.config.kind.assignor().to_owned(),
            members: joined
                .members
                .into_iter()
                .map(|member| JoinedMember {
                    member_id: member.id,
                    instance: member.instance,
                    subscription: Some(JoinedSubscription {
                        topics: if member.metadata.subscribed {
                            vec![TOPIC.to_owned()]
                        } else {
                            Vec::new()
                        },
                        owned: self.names(&member.metadata.claims.into_iter().collect::<Vec<_>>()),
                    }),
                })
                .collect(),
        }
    }

    /// The group as its coordinator describes it.
    #[must_use]
    pub fn describe(&self) -> DescribedGroup {
        let stable = self.coordinator.state == State::Stable;
        let members = self.coordinator.members.iter().map(|member| {
            let client = match member.sender {
                Sender::Client(index) => self.clients.get(index),
                Sender::Own { .. } => None,
            };
            let owned = member.assignment.as_deref().filter(|_| stable);
            DescribedMember {
                labels: MemberLabels {
                    pod: None,
                    host: match client {
                        Some(client) => client.identity.host.clone(),
                        None => Some("/10.9.9.9".to_owned()),
                    },
                    client_id: Some(
                        client
                            .map_or("rebalancer", |client| &client.identity.client_id)
                            .to_owned(),
                    ),
                    member_id: Some(member.id.clone()),
                    instance: member.instance.clone(),
                },
                rack: None,
                subscription: Some(if member.metadata.subscribed {
                    vec![TOPIC.to_owned()]
                } else {
                    Vec::new()
                }),
                owned: self.names(owned.unwrap_or_default()),
                client: None,
                classic_in_consumer_group: false,
                has_assignment_user_data: false,
            }
        });
        DescribedGroup {
            kind: GroupKind::Classic,
            state: match self.coordinator.state {
                State::Empty => GroupState::Empty,
                State::PreparingRebalance { .. } => {
                    GroupState::Rebalancing("PreparingRebalance".into())
                }
                State::CompletingRebalance => GroupState::Rebalancing("CompletingRebalance".into()),
                State::Stable => GroupState::Stable,
            },
            protocol_type: "consumer".into(),
            assignor: Some(self.config.kind.assignor().to_owned()),
            removable_members: false,
            members: members.collect(),
            topics: vec![DescribedTopic {
                name: self.topics.name(TopicIndex::new(0)).to_owned(),
                partition_racks: vec![Vec::new(); self.config.partitions],
            }],
            cluster_id: None,
        }
    }
}

fn refused(kind: CoordinatorErrorKind) -> CoordinatorError {
    CoordinatorError::new(kind, format!("the coordinator refused the request: {kind}"))
}

/// The response that the sender sees when the real one is lost.
/// The outcome of a request without a response.
fn no_response(request: &CoordinatorRequest) -> CoordinatorResponse {
    let error = refused(CoordinatorErrorKind::Lost);
    match request {
        CoordinatorRequest::Describe => CoordinatorResponse::Described(Err(error)),
        CoordinatorRequest::DrawMemberId(request) => {
            CoordinatorResponse::Drawn(request.own, Err(error))
        }
        CoordinatorRequest::Join(request) => CoordinatorResponse::Joined(request.own, Err(error)),
        CoordinatorRequest::Sync(request) => CoordinatorResponse::Synced(request.own, Err(error)),
        CoordinatorRequest::Heartbeat { own, .. } => {
            CoordinatorResponse::Heartbeat(*own, Err(error))
        }
        CoordinatorRequest::Leave { .. } => CoordinatorResponse::Left(Err(error)),
    }
}

fn lost(response: CoordinatorResponse) -> CoordinatorResponse {
    let error = refused(CoordinatorErrorKind::Lost);
    match response {
        CoordinatorResponse::Described(_) => CoordinatorResponse::Described(Err(error)),
        CoordinatorResponse::Drawn(own, _) => CoordinatorResponse::Drawn(own, Err(error)),
        CoordinatorResponse::Joined(own, _) => CoordinatorResponse::Joined(own, Err(error)),
        CoordinatorResponse::Synced(own, _) => CoordinatorResponse::Synced(own, Err(error)),
        CoordinatorResponse::Heartbeat(own, _) => CoordinatorResponse::Heartbeat(own, Err(error)),
        CoordinatorResponse::Left(_) => CoordinatorResponse::Left(Err(error)),
    }
}
