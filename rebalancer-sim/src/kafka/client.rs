//! A consumer: how a client library joins, heartbeats, and reacts when it is removed.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_assignors::{
    Assignment, Member, MemberIndex, PartitionIndex, Subscription, Topics, cooperative_sticky,
    librdkafka_cooperative_sticky, range, sticky,
};
use rebalancer_core::group::ClientFamily;
use rebalancer_core::ports::CoordinatorErrorKind;

use super::coordinator::{Answer, Coordinator, Join, Joined, Metadata, Sender};

/// The time until a dynamic librdkafka member that was removed while it waited in JoinGroup joins
/// again: its join interval and its back-off.
const LIBRDKAFKA_REJOIN: Duration = Duration::from_millis(1_600);

/// The time in JoinGroup after which a member of librdkafka has sent a commit meanwhile. The
/// coordinator handles the requests of a connection in order, so it refuses the commit right after
/// it has removed the member, and the client then discards the response to the JoinGroup request
/// that it has just sent.
const LIBRDKAFKA_COMMIT: Duration = Duration::from_secs(1);

/// The time until a client retries when the coordinator is not available.
const RETRY: Duration = Duration::from_millis(100);

/// The client library of a member, with its assignor and membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientKind {
    /// Java with `cooperative-sticky`.
    JavaCooperative,
    /// Java with `sticky`.
    JavaEager,
    /// Java with `range`.
    JavaRange,
    /// librdkafka with `cooperative-sticky` and static membership.
    LibrdkafkaStatic,
    /// librdkafka with `cooperative-sticky` and dynamic membership.
    LibrdkafkaDynamic,
}

impl ClientKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::JavaCooperative,
        Self::JavaEager,
        Self::JavaRange,
        Self::LibrdkafkaStatic,
        Self::LibrdkafkaDynamic,
    ];

    /// Whether the members keep their partitions during a rebalance.
    #[must_use]
    pub fn is_cooperative(self) -> bool {
        match self {
            Self::JavaCooperative | Self::LibrdkafkaStatic | Self::LibrdkafkaDynamic => true,
            Self::JavaEager | Self::JavaRange => false,
        }
    }

    /// The client library.
    #[must_use]
    pub fn client(self) -> ClientFamily {
        if self.is_java() {
            ClientFamily::Java
        } else {
            ClientFamily::Librdkafka
        }
    }

    /// Whether the members keep an assignment that is handed out.
    #[must_use]
    pub fn is_sticky(self) -> bool {
        self != Self::JavaRange
    }

    /// The name of the assignor.
    #[must_use]
    pub fn assignor(self) -> &'static str {
        match self {
            Self::JavaCooperative | Self::LibrdkafkaStatic | Self::LibrdkafkaDynamic => {
                "cooperative-sticky"
            }
            Self::JavaEager => "sticky",
            Self::JavaRange => "range",
        }
    }

    pub(super) fn is_java(self) -> bool {
        match self {
            Self::JavaCooperative | Self::JavaEager | Self::JavaRange => true,
            Self::LibrdkafkaStatic | Self::LibrdkafkaDynamic => false,
        }
    }
}

/// The next action of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Joins at this time. A client without a member id requests one.
    Joining { at: Duration },
    /// Waits for the end of the join phase.
    Parked,
    /// Syncs at this time.
    Syncing { at: Duration },
    /// Waits for the assignment.
    AwaitingAssignment,
    /// Has its assignment.
    Member,
    /// Its process has ended, or hangs without heartbeats.
    Gone,
}

/// The identity of a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientIdentity {
    /// `client.id`.
    pub(crate) client_id: String,
    /// The host that the coordinator reports.
    pub(crate) host: Option<String>,
    /// `group.instance.id` of a static member.
    pub(crate) instance: Option<String>,
}

impl ClientIdentity {
    /// The identity of the consumer with this index, which is static if its kind is.
    pub(super) fn numbered(kind: ClientKind, index: usize) -> Self {
        let is_static = kind == ClientKind::LibrdkafkaStatic;
        Self {
            client_id: format!("consumer-{index}"),
            host: Some(format!("/10.0.0.{index}")),
            instance: is_static.then(|| format!("instance-{index}")),
        }
    }
}

/// The intervals of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) heartbeat: Duration,
    /// The interval between polls. A Java client joins and syncs only when it polls.
    pub(super) poll: Duration,
    pub(super) session: Duration,
}

/// A consumer.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) kind: ClientKind,
    index: usize,
    pub(super) identity: ClientIdentity,
    pace: Pace,
    pub(super) member_id: String,
    generation: i32,
    heartbeat_at: Duration,
    phase: Phase,
    /// The partitions that it processes.
    pub(super) processing: BTreeSet<PartitionIndex>,
    /// Its last assignment, which an eager sticky client reports in its user data.
    last: BTreeSet<PartitionIndex>,
    /// The time of its last JoinGroup request.
    parked_since: Duration,
    /// Whether it discards the response to its next JoinGroup request.
    discards: bool,
    /// The response to its JoinGroup, until it syncs.
    joined: Option<Joined>,
    /// The number of partitions that it processed until a heartbeat showed that it was removed.
    pub(super) lost: usize,
    /// Whether the application ended because of an assignment of zero bytes.
    pub(super) failed: bool,
}

impl Client {
    /// A client that joins at this time.
    pub(super) fn new(
        kind: ClientKind,
        index: usize,
        identity: ClientIdentity,
        pace: Pace,
        starts: Duration,
    ) -> Self {
        Self {
            kind,
            index,
            identity,
            pace,
            member_id: String::new(),
            generation: -1,
            heartbeat_at: Duration::ZERO,
            phase: Phase::Joining { at: starts },
            processing: BTreeSet::new(),
            last: BTreeSet::new(),
            parked_since: Duration::ZERO,
            discards: false,
            joined: None,
            lost: 0,
            failed: false,
        }
    }

    /// Makes this client a member that has had these partitions for long.
    pub(super) fn adopt(
        &mut self,
        now: Duration,
        member_id: String,
        generation: i32,
        owned: BTreeSet<PartitionIndex>,
    ) {
        // The heartbeats of the clients are spread over the interval.
        let heartbeat = self.pace.heartbeat.as_millis().max(1);
        let offset = u64::try_from(self.index as u128 * 379 % heartbeat).unwrap_or(0);
        self.heartbeat_at = now + Duration::from_millis(offset);
        self.member_id = member_id;
        self.generation = generation;
        self.last.clone_from(&owned);
        self.processing = owned;
        self.phase = Phase::Member;
    }

    pub(super) fn sender(&self) -> Sender {
        Sender::Client(self.index)
    }

    /// The time of the next poll.
    fn next_poll(&self, now: Duration) -> Duration {
        if !self.kind.is_java() || self.pace.poll.is_zero() {
            return now;
        }
        let poll = self.pace.poll.as_millis().max(1);
        // Each client polls at times of its own.
        let offset = (self.index as u128 * 37) % poll;
        let since = now.as_millis().saturating_sub(offset);
        let next = since.div_ceil(poll) * poll + offset;
        Duration::from_millis(u64::try_from(next).unwrap_or(u64::MAX))
    }

    pub(super) fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Member | Phase::Gone)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// The process ends without leaving the group.
    pub(super) fn stop(&mut self) {
        self.phase = Phase::Gone;
        self.processing.clear();
    }

    /// The process ends, and leaves the group first.
    pub(super) fn leave(&mut self, now: Duration, coordinator: &mut Coordinator) {
        self.stop();
        if !self.member_id.is_empty() {
            let _ = coordinator.leave(now, &self.member_id);
        }
    }

    pub(super) fn set_poll(&mut self, poll: Duration) {
        self.pace.poll = poll;
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Duration, coordinator: &mut Coordinator, topics: &Topics) {
        let beats = match self.phase {
            Phase::Member => true,
            // A member that has not yet joined the rebalance keeps its session.
            Phase::Joining { .. } | Phase::Syncing { .. } => self.generation >= 0,
            Phase::Parked | Phase::AwaitingAssignment | Phase::Gone => false,
        };
        if beats && !self.member_id.is_empty() && now >= self.heartbeat_at {
            self.heartbeat_at = now + self.pace.heartbeat;
            let answer = coordinator.heartbeat(now, &self.member_id, self.generation);
            self.heartbeat_answered(now, answer);
        }
        match self.phase {
            Phase::Joining { at } if now >= at => self.join(now, coordinator),
            Phase::Syncing { at } if now >= at => self.sync(now, coordinator, topics),
            Phase::Joining { .. }
            | Phase::Syncing { .. }
            | Phase::Parked
            | Phase::AwaitingAssignment
            | Phase::Member
            | Phase::Gone => {}
        }
    }

    fn heartbeat_answered(&mut self, now: Duration, answer: Result<(), CoordinatorErrorKind>) {
        match answer {
            Ok(()) => {}
            Err(CoordinatorErrorKind::RebalanceInProgress) => {
                if self.phase == Phase::Member {
                    self.phase = Phase::Joining {
                        at: self.next_poll(now),
                    };
                }
            }
            Err(_) => self.lose(now),
        }
    }

    /// The client learns that it is no member any more: it gives up its partitions and joins again.
    /// The application of a Java client learns of it at its next poll.
    fn lose(&mut self, now: Duration) {
        self.lost += self.processing.len();
        if !self.kind.is_java() {
            self.processing.clear();
        }
        self.last.clear();
        self.member_id.clear();
        self.generation = -1;
        self.phase = Phase::Joining {
            at: self.next_poll(now),
        };
    }

    fn join(&mut self, now: Duration, coordinator: &mut Coordinator) {
        self.phase = Phase::Parked;
        self.parked_since = now;
        let is_removed = self.kind.is_java() && self.member_id.is_empty();
        if is_removed || !self.kind.is_cooperative() {
            self.processing.clear();
        }
        coordinator.join(
            now,
            Join {
                sender: self.sender(),
                member_id: self.member_id.clone(),
                client_id: self.identity.client_id.clone(),
                instance: self.identity.instance.clone(),
                metadata: Metadata {
                    subscribed: true,
                    claims: self.processing.clone(),
                },
                session: self.pace.session,
            },
        );
    }

    /// Handles a response.
    pub(super) fn receive(&mut self, now: Duration, answer: Answer) {
        if self.phase == Phase::Gone {
            return;
        }
        match answer {
            Answer::IdRequired(id) => {
                // Only now a dynamic librdkafka member learns that it was removed.
                self.processing.clear();
                if !std::mem::take(&mut self.discards) {
                    self.member_id = id;
                }
                self.phase = Phase::Joining {
                    at: self.next_poll(now),
                };
            }
            Answer::Joined(Ok(_)) if std::mem::take(&mut self.discards) => self.lose(now),
            Answer::Joined(Ok(joined)) => {
                self.member_id.clone_from(&joined.member_id);
                self.generation = joined.generation;
                self.heartbeat_at = now + self.pace.heartbeat;
                self.joined = Some(joined);
                self.phase = Phase::Syncing {
                    at: self.next_poll(now),
                };
            }
            Answer::Joined(Err(CoordinatorErrorKind::CoordinatorChanged))
            | Answer::Synced(Err(CoordinatorErrorKind::CoordinatorChanged)) => {
                self.phase = Phase::Joining { at: now + RETRY };
            }
            Answer::Joined(Err(_)) => self.removed_while_parked(now),
            Answer::Synced(Err(CoordinatorErrorKind::RebalanceInProgress)) => {
                self.phase = Phase::Joining {
                    at: self.next_poll(now),
                };
            }
            Answer::Synced(Err(_)) => self.lose(now),
            Answer::Synced(Ok(assignment)) => self.assigned(now, assignment),
        }
    }

    fn removed_while_parked(&mut self, now: Duration) {
        self.member_id.clear();
        self.generation = -1;
        let parked = now.saturating_sub(self.parked_since);
        self.discards = !self.kind.is_java() && parked >= LIBRDKAFKA_COMMIT;
        let pause = match self.kind {
            ClientKind::JavaCooperative => {
                self.processing.clear();
                Duration::from_millis(5)
            }
            ClientKind::LibrdkafkaStatic if self.discards => {
                self.processing.clear();
                Duration::ZERO
            }
            ClientKind::JavaEager | ClientKind::JavaRange | ClientKind::LibrdkafkaStatic => {
                Duration::ZERO
            }
            ClientKind::LibrdkafkaDynamic => LIBRDKAFKA_REJOIN,
        };
        self.phase = Phase::Joining { at: now + pause };
    }

    fn assigned(&mut self, now: Duration, assignment: Option<Vec<PartitionIndex>>) {
        if assignment.is_none() && self.kind.is_java() {
            self.failed = true;
        }
        let assigned: BTreeSet<PartitionIndex> =
            assignment.unwrap_or_default().into_iter().collect();
        let revokes = self.kind.is_cooperative() && !self.processing.is_subset(&assigned);
        self.last.clone_from(&assigned);
        self.processing = assigned;
        self.heartbeat_at = now + self.pace.heartbeat;
        self.phase = if revokes {
            Phase::Joining { at: now }
        } else {
            Phase::Member
        };
    }

    fn sync(&mut self, now: Duration, coordinator: &mut Coordinator, topics: &Topics) {
        let Some(joined) = self.joined.take() else {
            return;
        };
        let leads = joined.leader == joined.member_id && !joined.members.is_empty();
        let assignments = if leads {
            self.assign(&joined, coordinator, topics)
        } else {
            Vec::new()
        };
        self.phase = Phase::AwaitingAssignment;
        coordinator.sync(
            now,
            self.sender(),
            &joined.member_id,
            joined.generation,
            &assignments,
        );
    }

    /// The assignment that the client's own assignor computes as the leader.
    fn assign(
        &self,
        joined: &Joined,
        coordinator: &Coordinator,
        topics: &Topics,
    ) -> Vec<(String, Vec<PartitionIndex>)> {
        let mut previous = Assignment::unowned(topics.partition_count());
        let mut members = Vec::with_capacity(joined.members.len());
        let all = Subscription::all(topics);
        let indices = MemberIndex::all(joined.members.len());
        let mut claimed = BTreeSet::new();
        for (member, index) in joined.members.iter().zip(indices) {
            // The user data of eager clients reports the last assignment.
            let last = coordinator
                .find(&member.id)
                .map(|member| &member.assignment);
            let claims: Vec<PartitionIndex> = match (self.kind.is_cooperative(), last) {
                (true, _) => member.metadata.claims.iter().copied().collect(),
                (false, Some(Some(last))) => last.clone(),
                (false, Some(None) | None) => Vec::new(),
            };
            for partition in claims {
                let contested = !claimed.insert(partition);
                previous.set(partition, (!contested).then_some(index));
            }
            let subscription = if member.metadata.subscribed {
                all.clone()
            } else {
                Subscription::default()
            };
            members.push(Member {
                id: member.id.clone(),
                instance: member.instance.clone(),
                subscription,
                rack: None,
            });
        }
        let assignment = match self.kind {
            ClientKind::JavaCooperative => cooperative_sticky::assign(topics, &members, &previous),
            ClientKind::JavaEager => sticky::assign(topics, &members, &previous),
            ClientKind::JavaRange => range::assign(topics, &members, &previous),
            ClientKind::LibrdkafkaStatic | ClientKind::LibrdkafkaDynamic => {
                librdkafka_cooperative_sticky::assign(topics, &members, &previous)
            }
        };
        let partitions = assignment.by_member(members.len());
        let ids = members.into_iter().map(|member| member.id);
        let given = ids.zip(partitions);
        // librdkafka leaves out members without topics, which then get zero bytes.
        given
            .filter(|(id, partitions)| {
                self.kind.is_java()
                    || !partitions.is_empty()
                    || joined
                        .members
                        .iter()
                        .any(|member| member.id == *id && member.metadata.subscribed)
            })
            .collect()
    }
}
