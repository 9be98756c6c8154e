//! The coordinator of one classic group.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_assignors::PartitionIndex;
use rebalancer_core::ports::{CoordinatorErrorKind, OwnMember};

use super::election::ElectionOrder;

/// The session timeout below which a join is refused, as `group.min.session.timeout.ms`.
pub(super) const MINIMUM_SESSION: Duration = Duration::from_secs(6);

/// The sender of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sender {
    /// A consumer, by index.
    Client(usize),
    /// A member that a run added to the group.
    Own {
        /// The number of the run.
        run: usize,
        /// The member.
        own: OwnMember,
    },
}

/// The state of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Empty,
    /// The join phase.
    PreparingRebalance {
        since: Duration,
    },
    /// The sync phase.
    CompletingRebalance,
    Stable,
}

/// The metadata of a member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Metadata {
    /// Whether the member subscribes to the topics; members of ours do not.
    pub(super) subscribed: bool,
    /// The partitions that it claims.
    pub(super) claims: BTreeSet<PartitionIndex>,
}

/// A member of the group.
#[derive(Debug, Clone)]
pub(super) struct GroupMember {
    pub(super) id: String,
    pub(super) sender: Sender,
    pub(super) instance: Option<String>,
    pub(super) metadata: Metadata,
    /// `None`: zero bytes.
    pub(super) assignment: Option<Vec<PartitionIndex>>,
    session: Duration,
    last_seen: Duration,
    waits_for_join: bool,
    pub(super) waits_for_sync: bool,
}

/// A response of the coordinator to a member.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// `MEMBER_ID_REQUIRED`.
    IdRequired(String),
    Joined(Result<Joined, CoordinatorErrorKind>),
    /// `None`: zero bytes.
    Synced(Result<Option<Vec<PartitionIndex>>, CoordinatorErrorKind>),
}

/// A response to JoinGroup.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    pub(super) member_id: String,
    pub(super) generation: i32,
    pub(super) leader: String,
    /// The members by age; empty for a follower.
    pub(super) members: Vec<JoinedMember>,
}

/// A member in the response of the leader.
#[derive(Debug, Clone)]
pub(super) struct JoinedMember {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) metadata: Metadata,
}

/// A JoinGroup request.
#[derive(Debug, Clone)]
pub(super) struct Join {
    pub(super) sender: Sender,
    /// Empty without an id.
    pub(super) member_id: String,
    pub(super) client_id: String,
    pub(super) instance: Option<String>,
    pub(super) metadata: Metadata,
    pub(super) session: Duration,
}

/// The coordinator.
#[derive(Debug, Clone)]
pub(super) struct Coordinator {
    order: ElectionOrder,
    /// Whether the release of a pending id in a stable group begins a rebalance (Kafka 4).
    rebalances_on_release: bool,
    rebalance_timeout: Duration,
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) leader: Option<String>,
    /// By age.
    pub(super) members: Vec<GroupMember>,
    /// Pending ids and when they expire.
    pub(super) pending: Vec<(String, Duration)>,
    largest: usize,
    pub(super) rebalances: u32,
    next_id: u64,
    salt: u64,
    answers: Vec<(Sender, Answer)>,
}

impl Coordinator {
    pub(super) fn new(
        order: ElectionOrder,
        rebalances_on_release: bool,
        rebalance_timeout: Duration,
        salt: u64,
    ) -> Self {
        Self {
            order,
            rebalances_on_release,
            rebalance_timeout,
            state: State::Empty,
            generation: 0,
            leader: None,
            members: Vec::new(),
            pending: Vec::new(),
            largest: 0,
            rebalances: 0,
            next_id: 0,
            salt,
            answers: Vec::new(),
        }
    }

    /// Adds a member of a group that has been stable for long.
    pub(super) fn adopt(
        &mut self,
        now: Duration,
        sender: Sender,
        (id, instance): (String, Option<String>),
        metadata: Metadata,
        assignment: Vec<PartitionIndex>,
        session: Duration,
    ) {
        self.members.push(GroupMember {
            id: id.clone(),
            sender,
            instance,
            metadata,
            assignment: Some(assignment),
            session,
            last_seen: now,
            waits_for_join: false,
            waits_for_sync: false,
        });
        self.largest = self.largest.max(self.members.len());
        self.leader.get_or_insert(id);
        self.generation = 1;
        self.state = State::Stable;
    }

    /// The responses that are due.
    pub(super) fn take_answers(&mut self) -> Vec<(Sender, Answer)> {
        std::mem::take(&mut self.answers)
    }

    fn answer(&mut self, to: Sender, answer: Answer) {
        self.answers.push((to, answer));
    }

    fn new_id(&mut self, client_id: &str) -> String {
        self.next_id += 1;
        // SplitMix64, so that ids are spread over the buckets like random UUIDs.
        let mut bits = self
            .salt
            .wrapping_add(self.next_id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        format!("{client_id}-{bits:016x}-{}", self.next_id)
    }

    pub(super) fn find(&self, id: &str) -> Option<&GroupMember> {
        self.members.iter().find(|member| member.id == id)
    }

    fn find_mut(&mut self, id: &str) -> Option<&mut GroupMember> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    pub(super) fn join(&mut self, now: Duration, join: Join) {
        let sender = join.sender;
        if join.session < MINIMUM_SESSION {
            let error = CoordinatorErrorKind::InvalidSessionTimeout;
            return self.answer(sender, Answer::Joined(Err(error)));
        }
        if join.member_id.is_empty() {
            let id = self.new_id(&join.client_id);
            if join.instance.is_some() {
                // A static member gets its id and joins at once.
                let mut members = self.members.iter();
                return match members.position(|member| member.instance == join.instance) {
                    Some(index) => self.replace(now, index, id, join),
                    None => self.add(now, id, join),
                };
            }
            self.pending.push((id.clone(), now + join.session));
            return self.answer(sender, Answer::IdRequired(id));
        }
        let pending = self
            .pending
            .iter()
            .position(|(id, _)| *id == join.member_id);
        if let Some(index) = pending {
            self.pending.remove(index);
            let id = join.member_id.clone();
            return self.add(now, id, join);
        }
        self.rejoin(now, join);
    }

    fn add(&mut self, now: Duration, id: String, join: Join) {
        self.members.push(GroupMember {
            id: id.clone(),
            sender: join.sender,
            instance: join.instance,
            metadata: join.metadata,
            assignment: None,
            session: join.session,
            last_seen: now,
            waits_for_join: true,
            waits_for_sync: false,
        });
        self.largest = self.largest.max(self.members.len());
        self.leader.get_or_insert(id);
        self.prepare_rebalance(now);
        self.complete_join_if_ready(now);
    }

    /// A static member returns under a new id before its session has expired. A stable group does
    /// not rebalance: the member gets its partitions back.
    fn replace(&mut self, now: Duration, index: usize, id: String, join: Join) {
        let (state, generation) = (self.state, self.generation);
        let Some(member) = self.members.get_mut(index) else {
            return;
        };
        let old = std::mem::replace(&mut member.id, id.clone());
        let sender = std::mem::replace(&mut member.sender, join.sender);
        let joining = std::mem::take(&mut member.waits_for_join);
        let syncing = std::mem::take(&mut member.waits_for_sync);
        member.metadata = join.metadata;
        member.session = join.session;
        member.last_seen = now;
        member.waits_for_join = state != State::Stable;
        if self.leader.as_ref() == Some(&old) {
            self.leader = Some(id.clone());
        }
        let fenced = CoordinatorErrorKind::FencedInstance;
        if joining {
            self.answer(sender, Answer::Joined(Err(fenced)));
        }
        if syncing {
            self.answer(sender, Answer::Synced(Err(fenced)));
        }
        match state {
            State::Stable => {
                let joined = Joined {
                    member_id: id,
                    generation,
                    leader: self.leader.clone().unwrap_or_default(),
                    members: Vec::new(),
                };
                self.answer(join.sender, Answer::Joined(Ok(joined)));
            }
            State::Empty | State::PreparingRebalance { .. } | State::CompletingRebalance => {
                self.prepare_rebalance(now);
                self.complete_join_if_ready(now);
            }
        }
    }

    fn rejoin(&mut self, now: Duration, join: Join) {
        let is_leader = self.leader.as_deref() == Some(join.member_id.as_str());
        let (generation, leader) = (self.generation, self.leader.clone().unwrap_or_default());
        let state = self.state;
        let Some(member) = self.find_mut(&join.member_id) else {
            let error = CoordinatorErrorKind::UnknownMember;
            return self.answer(join.sender, Answer::Joined(Err(error)));
        };
        member.last_seen = now;
        let same = member.metadata == join.metadata;
        let settled = match state {
            // A follower with the same metadata gets the current generation.
            State::Stable => same && !is_leader,
            State::CompletingRebalance => same && !is_leader,
            State::PreparingRebalance { .. } | State::Empty => false,
        };
        if settled {
            let joined = Joined {
                member_id: join.member_id,
                generation,
                leader,
                members: Vec::new(),
            };
            return self.answer(join.sender, Answer::Joined(Ok(joined)));
        }
        member.metadata = join.metadata;
        member.waits_for_join = true;
        self.prepare_rebalance(now);
        self.complete_join_if_ready(now);
    }

    /// Begins the join phase, unless it has begun. SyncGroup requests that wait are refused.
    pub(super) fn prepare_rebalance(&mut self, now: Duration) {
        if matches!(self.state, State::PreparingRebalance { .. }) {
            return;
        }
        self.state = State::PreparingRebalance { since: now };
        self.rebalances += 1;
        let mut refused = Vec::new();
        for member in &mut self.members {
            if std::mem::take(&mut member.waits_for_sync) {
                refused.push(member.sender);
            }
        }
        for sender in refused {
            let error = CoordinatorErrorKind::RebalanceInProgress;
            self.answer(sender, Answer::Synced(Err(error)));
        }
    }

    fn complete_join_if_ready(&mut self, now: Duration) {
        let joining = matches!(self.state, State::PreparingRebalance { .. });
        let ready = self.members.iter().all(|member| member.waits_for_join);
        if !joining || !ready || !self.pending.is_empty() {
            return;
        }
        if self.members.is_empty() {
            self.state = State::Empty;
            return;
        }
        self.generation += 1;
        self.state = State::CompletingRebalance;
        let leader = self.leader.clone().unwrap_or_default();
        let all: Vec<JoinedMember> = self
            .members
            .iter()
            .map(|member| JoinedMember {
                id: member.id.clone(),
                instance: member.instance.clone(),
                metadata: member.metadata.clone(),
            })
            .collect();
        let mut answers = Vec::new();
        for member in &mut self.members {
            member.waits_for_join = false;
            member.last_seen = now;
            let joined = Joined {
                member_id: member.id.clone(),
                generation: self.generation,
                leader: leader.clone(),
                members: if member.id == leader {
                    all.clone()
                } else {
                    Vec::new()
                },
            };
            answers.push((member.sender, Answer::Joined(Ok(joined))));
        }
        self.answers.extend(answers);
    }

    /// Handles SyncGroup. `assignments` is empty for a follower.
    pub(super) fn sync(
        &mut self,
        now: Duration,
        sender: Sender,
        member_id: &str,
        generation: i32,
        assignments: &[(String, Vec<PartitionIndex>)],
    ) {
        let refused = match self.find(member_id) {
            None => Some(CoordinatorErrorKind::UnknownMember),
            Some(_) if generation != self.generation => {
                Some(CoordinatorErrorKind::IllegalGeneration)
            }
            Some(_) => match self.state {
                State::PreparingRebalance { .. } => Some(CoordinatorErrorKind::RebalanceInProgress),
                State::Empty => Some(CoordinatorErrorKind::UnknownMember),
                State::CompletingRebalance | State::Stable => None,
            },
        };
        if let Some(error) = refused {
            return self.answer(sender, Answer::Synced(Err(error)));
        }
        let is_leader = self.leader.as_deref() == Some(member_id);
        let stable = self.state == State::Stable;
        if let Some(member) = self.find_mut(member_id) {
            member.last_seen = now;
            if stable {
                let assignment = member.assignment.clone();
                return self.answer(sender, Answer::Synced(Ok(assignment)));
            }
            member.waits_for_sync = true;
        }
        if !is_leader {
            return;
        }
        self.state = State::Stable;
        let mut answers = Vec::new();
        for member in &mut self.members {
            let given = assignments.iter().find(|(id, _)| *id == member.id);
            member.assignment = given.map(|(_, partitions)| partitions.clone());
            if std::mem::take(&mut member.waits_for_sync) {
                member.last_seen = now;
                answers.push((member.sender, Answer::Synced(Ok(member.assignment.clone()))));
            }
        }
        self.answers.extend(answers);
    }

    pub(super) fn heartbeat(
        &mut self,
        now: Duration,
        member_id: &str,
        generation: i32,
    ) -> Result<(), CoordinatorErrorKind> {
        let (state, current) = (self.state, self.generation);
        let member = self
            .find_mut(member_id)
            .ok_or(CoordinatorErrorKind::UnknownMember)?;
        if generation != current {
            return Err(CoordinatorErrorKind::IllegalGeneration);
        }
        member.last_seen = now;
        match state {
            State::PreparingRebalance { .. } => Err(CoordinatorErrorKind::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
            State::Empty => Err(CoordinatorErrorKind::UnknownMember),
        }
    }

    /// Removes a member or a pending id.
    pub(super) fn leave(&mut self, now: Duration, id: &str) -> Result<(), CoordinatorErrorKind> {
        if let Some(index) = self.pending.iter().position(|(pending, _)| pending == id) {
            self.pending.remove(index);
            if self.state == State::Stable && self.rebalances_on_release {
                self.prepare_rebalance(now);
            }
            self.complete_join_if_ready(now);
            return Ok(());
        }
        if self.find(id).is_none() {
            return Err(CoordinatorErrorKind::UnknownMember);
        }
        self.remove(now, id);
        Ok(())
    }

    /// A parked JoinGroup of a removed member is answered, a parked SyncGroup is not.
    fn remove(&mut self, now: Duration, id: &str) {
        let Some(index) = self.members.iter().position(|member| member.id == id) else {
            return;
        };
        let member = self.members.remove(index);
        if member.waits_for_join {
            let error = CoordinatorErrorKind::UnknownMember;
            self.answer(member.sender, Answer::Joined(Err(error)));
        }
        if self.leader.as_deref() == Some(id) {
            let ids: Vec<&str> = self
                .members
                .iter()
                .map(|member| member.id.as_str())
                .collect();
            let first = self.order.first(&ids, self.largest);
            self.leader = first.and_then(|index| Some(self.members.get(index)?.id.clone()));
        }
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(now),
            State::Empty | State::PreparingRebalance { .. } => {}
        }
        self.complete_join_if_ready(now);
    }

    /// Removes what has expired.
    pub(super) fn expire(&mut self, now: Duration) {
        let before = self.pending.len();
        self.pending.retain(|(_, expires)| *expires > now);
        if self.pending.len() < before {
            self.complete_join_if_ready(now);
        }
        let expired: Vec<String> = self
            .members
            .iter()
            .filter(|member| !member.waits_for_join && !member.waits_for_sync)
            .filter(|member| now.saturating_sub(member.last_seen) > member.session)
            .map(|member| member.id.clone())
            .collect();
        for id in expired {
            self.remove(now, &id);
        }
        let State::PreparingRebalance { since } = self.state else {
            return;
        };
        if now.saturating_sub(since) > self.rebalance_timeout {
            let missing: Vec<String> = self
                .members
                .iter()
                .filter(|member| !member.waits_for_join)
                .map(|member| member.id.clone())
                .collect();
            for id in missing {
                self.remove(now, &id);
            }
        }
    }

    /// Whether the member has joined the rebalance and waits for the end of the join phase.
    pub(super) fn is_parked(&self, id: &str) -> bool {
        self.find(id).is_some_and(|member| member.waits_for_join)
    }

    /// Whether no rebalance is in progress and no id is pending.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Stable | State::Empty) && self.pending.is_empty()
    }
}
