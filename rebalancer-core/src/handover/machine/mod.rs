//! The state machine: its stages, and the rules that hold in all of them.
//!
//! A stage has at most one request of its own in flight. Besides, heartbeats of our members run in
//! the background, and the JoinGroup of the assigner stays in flight over several stages.

mod barrier;
mod consumer;
mod ending;
mod handing;
mod leadership;
mod membership;
mod probe;
#[cfg(test)]
mod tests;

use std::time::Duration;

use kafka_assignors::{Assignment, MemberIndex};

use super::limits::HandoverLimits;
use super::outcome::{AbandonReason, HandoverOutcome, HandoverReport};
use super::plan::{HandoverGoal, HandoverMember, HandoverPlan};
use super::stage::HandoverStage;
use super::step::{CoordinatorRequest, CoordinatorResponse, HandoverEvent, HandoverStep};
use crate::execution::StopCause;
use crate::model::Seconds;
use crate::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, GroupState, JoinRequest, JoinedGroup,
    LeavingMember, OwnMember, TopicPartition,
};
use handing::Phase;
use membership::OwnMembers;

/// A hand-over in execution. See the [module](crate::handover) for its rules.
#[derive(Debug, Clone)]
pub struct Handover {
    plan: HandoverPlan,
    limits: HandoverLimits,
    started: Duration,
    /// The current id of each member of the plan. Removed members return with new ids.
    ids: Vec<String>,
    own: OwnMembers,
    /// The duration of the probe's rebalance.
    probe: Option<Duration>,
    /// The leader that the probe reported.
    leader: Option<MemberIndex>,
    /// The end of the wait for the members to be parked.
    hold_until: Duration,
    /// The end of the probe's rebalance, in which the heartbeat timers of the members were reset.
    probe_ended: Duration,
    /// The members that are removed and have to return.
    removed: Vec<MemberIndex>,
    /// The removed members that have returned.
    returned: Vec<MemberIndex>,
    /// Whether all members of a rejoin were removed and are back.
    rejoined: bool,
    /// Whether the group has dealt all partitions after the rejoin.
    dealt: bool,
    /// Whether the response to the removal was lost.
    removal_lost: bool,
    /// In a group of KIP-848: the time before the request that removes members.
    removed_at: Duration,
    /// In a group of KIP-848: the time from the removal until all removed members were seen again.
    double_processing: Option<Duration>,
    /// The owners before anything moves: those of the plan, then those of the restore.
    owners_before: Assignment,
    /// The assignment that was handed out last, or the owners of the plan.
    handed: Assignment,
    /// The number of generations beyond those of an undisturbed hand-over.
    rounds: usize,
    /// The response that made the assigner the leader, or its failure, until the stage handles it.
    joined: Option<Result<JoinedGroup, CoordinatorError>>,
    stage: Stage,
    /// Whether the request of the stage was sent and not yet answered.
    awaiting: bool,
    /// Whether a member id was requested and the response is not known yet.
    drawing: bool,
    /// Why the hand-over will be abandoned once the owners are restored.
    postponed: Option<AbandonReason>,
    /// The number of attempts to remove our members.
    attempts: usize,
    /// The ids of all members that we added.
    ours: Vec<String>,
    /// Why the hand-over is abandoned, once it is.
    abandoned: Option<AbandonReason>,
    stop: Option<StopCause>,
    rebalances: u32,
    /// Whether one of our members waits in the join phase of the last rebalance.
    joining: bool,
    /// The owners that were seen at the end.
    seen: Option<Assignment>,
    settled: bool,
    ended: Option<Duration>,
}

/// The current activity. The stages are in the order of a hand-over that succeeds.
#[derive(Debug, Clone)]
enum Stage {
    /// The group is read again, to confirm the plan.
    Confirming { not_before: Duration },
    /// A member id for the scout is drawn.
    DrawingScout { draws: usize },
    /// The scout joins.
    Probing { since: Duration },
    /// The scout syncs.
    SyncingScout { generation: i32 },
    /// The group is read until it is at rest with the scout.
    SettlingProbe(Polling),
    /// Member ids for the assigner are drawn, or for the trigger of a rejoin, which takes its part.
    DrawingAssigner(leadership::Draws),
    /// The assigner joins: the request is sent, and the group is read until the assigner is listed.
    Parking(Polling),
    /// Member ids that are not used are released.
    ReleasingIds,
    /// The members rejoin, and wait for the scout.
    Holding { until: Duration },
    /// The group is read before members are removed.
    CheckingBarrier,
    /// The scout's session is renewed, so that the barrier outlasts the removal. `sent` is the time
    /// of the heartbeat.
    RenewingBarrier { sent: Option<Duration> },
    /// The leader, and members that would be elected before the assigner, are removed; or the
    /// members that rejoin.
    Removing,
    /// The group is read until the removed members are back.
    AwaitingReturn(Polling),
    /// The scout leaves, so that the join phase ends.
    LiftingBarrier,
    /// The JoinGroup response of the assigner is awaited.
    AwaitingLeadership { until: Duration },
    /// An assignment is handed out.
    Syncing(handing::Handout),
    /// The members sync, before the next rebalance begins.
    Resting { next: Phase, until: Duration },
    /// The assigner rejoins, to hand out the next assignment.
    Rejoining { next: Phase, until: Duration },
    /// The members that gave up partitions rejoin, which the assigner's heartbeat reports.
    AwaitingRejoins(Polling),
    /// The group is read until it has the target.
    Verifying(Polling),
    /// A short wait before the assigner leaves.
    Lingering { until: Duration },
    /// Our members leave, and unused ids are released.
    Leaving(Polling),
    /// The group is read until it is at rest without our members.
    Departing(Polling),
    /// The hand-over is over.
    Done,
}

/// Repeated requests until something has changed.
#[derive(Debug, Clone, Copy)]
struct Polling {
    /// The time of the next request.
    next: Duration,
    /// The time of the first request.
    since: Duration,
    /// The deadline.
    until: Duration,
}

impl Polling {
    fn new(now: Duration, limit: Duration) -> Self {
        Self {
            next: now,
            since: now,
            until: now + limit,
        }
    }

    fn again(self, now: Duration, interval: Duration) -> Self {
        Self {
            next: now + interval,
            ..self
        }
    }

    fn limit(&self) -> Duration {
        self.until.saturating_sub(self.since)
    }
}

/// The next need of a stage.
enum Need {
    /// This request.
    Request(CoordinatorRequest),
    /// The passing of time, or a response that is in flight.
    Time(Duration),
    /// Nothing more.
    Nothing,
}

impl Handover {
    /// Starts a hand-over at `now`. Times are durations since an arbitrary fixed instant, which is
    /// also that of [`HandoverPlan::observed_at`].
    #[must_use]
    pub fn new(plan: HandoverPlan, limits: HandoverLimits, now: Duration) -> Self {
        Self {
            started: now,
            ids: plan
                .members
                .iter()
                .map(|member| member.member_id.clone())
                .collect(),
            own: OwnMembers::default(),
            probe: None,
            leader: None,
            hold_until: now,
            probe_ended: now,
            removed: Vec::new(),
            returned: Vec::new(),
            rejoined: false,
            dealt: false,
            removal_lost: false,
            removed_at: now,
            double_processing: None,
            owners_before: plan.current.clone(),
            handed: plan.current.clone(),
            rounds: 0,
            joined: None,
            stage: Stage::Confirming {
                not_before: plan.observed_at + HandoverLimits::REST,
            },
            awaiting: false,
            drawing: false,
            postponed: None,
            attempts: 0,
            ours: Vec::new(),
            abandoned: None,
            stop: None,
            rebalances: 0,
            joining: false,
            seen: None,
            settled: false,
            ended: None,
            plan,
            limits,
        }
    }

    /// Whether the hand-over is over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// The current stage, for people.
    #[must_use]
    pub fn stage(&self) -> HandoverStage {
        match &self.stage {
            Stage::Confirming { .. } => HandoverStage::Confirming,
            Stage::DrawingScout { .. }
            | Stage::Probing { .. }
            | Stage::SyncingScout { .. }
            | Stage::SettlingProbe(_) => HandoverStage::Probing,
            Stage::DrawingAssigner(_)
            | Stage::Parking(_)
            | Stage::ReleasingIds
            | Stage::Holding { .. }
            | Stage::CheckingBarrier
            | Stage::RenewingBarrier { .. }
            | Stage::Removing
            | Stage::AwaitingReturn(_)
            | Stage::LiftingBarrier
            | Stage::AwaitingLeadership { .. } => match self.plan.goal {
                HandoverGoal::Assign(_) => HandoverStage::Electing,
                HandoverGoal::Rejoin(_) => HandoverStage::Rejoining,
            },
            Stage::Syncing(handout) => self.stage_of(handout.phase()),
            Stage::Resting { next, .. } | Stage::Rejoining { next, .. } => self.stage_of(*next),
            Stage::AwaitingRejoins(_) => HandoverStage::Revoking,
            Stage::Verifying(_) | Stage::Lingering { .. } => HandoverStage::Verifying,
            Stage::Departing(_) if self.rejoined || self.is_of_consumers() => {
                HandoverStage::Dealing
            }
            Stage::Leaving(_) | Stage::Departing(_) | Stage::Done => HandoverStage::Leaving,
        }
    }

    /// The next step. Must be called again after each step and each event.
    pub fn step(&mut self, now: Duration) -> HandoverStep {
        self.check_deadlines(now);
        if self.is_done() {
            return HandoverStep::Done;
        }
        if let Some(heartbeat) = self.own.heartbeat(now) {
            return HandoverStep::Send(heartbeat);
        }
        let wake = self.next_deadline();
        let wake = self.own.next_heartbeat().map_or(wake, |due| due.min(wake));
        // A deadline that has passed waits for the response that is in flight.
        let wake = if wake > now { wake } else { Duration::MAX };
        if self.awaiting {
            return HandoverStep::WaitUntil(wake);
        }
        match self.need(now) {
            Need::Request(request) if self.own.is_free(request.connection()) => {
                self.own.occupy(request.connection());
                self.drawing |= matches!(request, CoordinatorRequest::DrawMemberId(_));
                self.awaiting = !self.is_background(&request);
                if let Stage::RenewingBarrier { sent } = &mut self.stage {
                    *sent = Some(now);
                }
                HandoverStep::Send(request)
            }
            // The connection is in use by a heartbeat, whose response comes soon.
            Need::Request(_) => HandoverStep::WaitUntil(wake),
            Need::Time(until) => HandoverStep::WaitUntil(until.min(wake)),
            Need::Nothing => HandoverStep::Done,
        }
    }

    /// The first JoinGroup of each of our members stays in flight while other requests are sent.
    fn is_background(&mut self, request: &CoordinatorRequest) -> bool {
        let CoordinatorRequest::Join(join) = request else {
            return false;
        };
        let first = !self.own.is_parked(join.own);
        if first {
            self.own.park(join.own);
            self.begin_rebalance();
        }
        first
    }

    /// Handles a response or a stop request. A response that no stage waits for is ignored.
    pub fn handle(&mut self, now: Duration, event: HandoverEvent) {
        match event {
            HandoverEvent::Response(response) => {
                let connection = response.connection();
                self.own.release(connection);
                if !self.is_done() {
                    self.respond(now, response);
                }
            }
            HandoverEvent::Stop(cause) => self.request_stop(now, cause),
        }
    }

    fn respond(&mut self, now: Duration, response: CoordinatorResponse) {
        match response {
            CoordinatorResponse::Described(group) => self.described(now, group),
            CoordinatorResponse::Drawn(own, id) => {
                self.drawing = false;
                self.drawn(now, own, id);
            }
            CoordinatorResponse::Joined(own, joined) => self.joined(now, own, joined),
            CoordinatorResponse::Synced(own, partitions) => self.synced(now, own, partitions),
            CoordinatorResponse::Heartbeat(own, result) => {
                self.heartbeat_answered(now, own, result)
            }
            CoordinatorResponse::Left(results) => self.left(now, results),
        }
    }

    fn need(&self, now: Duration) -> Need {
        match &self.stage {
            Stage::Confirming { not_before } if now < *not_before => Need::Time(*not_before),
            Stage::Confirming { .. } | Stage::CheckingBarrier => describe(),
            Stage::DrawingScout { .. } => self.draw(OwnMember::Scout),
            Stage::Probing { .. } if !self.own.is_parked(OwnMember::Scout) => {
                self.join(OwnMember::Scout)
            }
            // Pending ids hold up the rebalance.
            Stage::Probing { .. } if !self.own.unused.is_empty() => self.release_ids(),
            Stage::Probing { .. } => Need::Time(Duration::MAX),
            Stage::SyncingScout { generation } => self.sync_scout(*generation),
            Stage::DrawingAssigner(_) => self.draw(OwnMember::Assigner),
            Stage::Parking(_) if !self.own.is_parked(OwnMember::Assigner) => {
                self.join(OwnMember::Assigner)
            }
            Stage::SettlingProbe(polling)
            | Stage::Parking(polling)
            | Stage::AwaitingReturn(polling)
            | Stage::Verifying(polling)
            | Stage::Departing(polling) => {
                if now < polling.next {
                    Need::Time(polling.next)
                } else {
                    describe()
                }
            }
            Stage::ReleasingIds => self.release_ids(),
            Stage::RenewingBarrier { .. } => self.own_heartbeat(OwnMember::Scout),
            Stage::Removing => self.remove_members(),
            Stage::LiftingBarrier => self.lift_barrier(),
            Stage::Holding { until }
            | Stage::AwaitingLeadership { until }
            | Stage::Resting { until, .. }
            | Stage::Lingering { until } => Need::Time(*until),
            Stage::Syncing(handout) if now < handout.not_before() => {
                Need::Time(handout.not_before())
            }
            Stage::Syncing(handout) => self.hand_out(handout),
            Stage::Rejoining { .. } => self.join(OwnMember::Assigner),
            Stage::AwaitingRejoins(polling) => {
                if now < polling.next {
                    Need::Time(polling.next)
                } else {
                    self.own_heartbeat(OwnMember::Assigner)
                }
            }
            // An id that is still on its way is released with the others.
            Stage::Leaving(_) if self.drawing => Need::Time(Duration::MAX),
            Stage::Leaving(polling) if now < polling.next => Need::Time(polling.next),
            Stage::Leaving(_) => self.leave(),
            Stage::Done => Need::Nothing,
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "no other stage reads the group"
    )]
    fn described(&mut self, now: Duration, group: Result<DescribedGroup, CoordinatorError>) {
        if !std::mem::take(&mut self.awaiting) {
            return;
        }
        match self.stage {
            Stage::Confirming { .. } => self.confirmed(now, group),
            Stage::SettlingProbe(polling) => self.probe_described(now, polling, group),
            Stage::Parking(polling) => self.parking_described(now, polling, group),
            Stage::CheckingBarrier => self.barrier_described(now, group),
            Stage::AwaitingReturn(polling) => self.return_described(now, polling, group),
            Stage::Verifying(polling) => self.target_described(now, polling, group),
            Stage::Departing(polling) => self.departure_described(now, polling, group),
            _ => {}
        }
    }

    fn drawn(&mut self, now: Duration, own: OwnMember, id: Result<String, CoordinatorError>) {
        let expected = match (&self.stage, own) {
            (Stage::DrawingScout { draws }, OwnMember::Scout) => Some(*draws),
            (Stage::DrawingAssigner(draws), OwnMember::Assigner) => Some(draws.drawn),
            _ => None,
        };
        // An id that arrives late is released with the others.
        let Some(draws) = expected else {
            self.own.unused.extend(id.ok());
            return;
        };
        self.awaiting = false;
        match (id, own) {
            (Ok(id), OwnMember::Scout) => self.scout_id_drawn(now, id, draws),
            (Ok(id), OwnMember::Assigner) => self.assigner_id_drawn(now, id),
            (Err(error), _) if error.kind == CoordinatorErrorKind::InvalidSessionTimeout => {
                self.lengthen_session(now);
            }
            (Err(error), _) => self.abandon(now, AbandonReason::refused(&error)),
        }
    }

    fn joined(
        &mut self,
        now: Duration,
        own: OwnMember,
        joined: Result<JoinedGroup, CoordinatorError>,
    ) {
        match own {
            OwnMember::Scout => self.scout_joined(now, joined),
            OwnMember::Assigner => self.assigner_joined(now, joined),
        }
    }

    fn synced(
        &mut self,
        now: Duration,
        own: OwnMember,
        partitions: Result<Vec<TopicPartition>, CoordinatorError>,
    ) {
        match own {
            OwnMember::Scout => self.scout_synced(now, partitions),
            OwnMember::Assigner => self.assigner_synced(now, partitions),
        }
    }

    fn heartbeat_answered(
        &mut self,
        now: Duration,
        own: OwnMember,
        result: Result<(), CoordinatorError>,
    ) {
        self.own.heartbeat_answered(now, own);
        if let Stage::RenewingBarrier { sent: Some(sent) } = self.stage
            && own == OwnMember::Scout
        {
            return self.barrier_renewed(now, sent, result);
        }
        let foreground =
            own == OwnMember::Assigner && matches!(self.stage, Stage::AwaitingRejoins(_));
        if foreground {
            self.awaiting = false;
        }
        match result {
            // The member is leaving, or rejoins.
            _ if self.own.generation(own).is_none() => {}
            Err(error) if is_membership_lost(error.kind) => self.membership_lost(now, own, &error),
            Err(error) if error.kind == CoordinatorErrorKind::RebalanceInProgress => {
                if foreground {
                    self.rejoin(Phase::Last, now);
                } else if own == OwnMember::Assigner {
                    self.rebalance_while_leader(now);
                }
            }
            // The next heartbeat, or the stage's own request, shows what is wrong.
            Ok(()) | Err(_) => {
                if foreground {
                    self.poll_rejoins(now);
                }
            }
        }
    }

    /// The coordinator no longer accepts requests of this member of ours in its generation.
    fn membership_lost(&mut self, now: Duration, own: OwnMember, error: &CoordinatorError) {
        if error.kind == CoordinatorErrorKind::IllegalGeneration {
            // The coordinator checks the member first, so it still has it, and must be asked to
            // remove it.
            self.own.stop_heartbeats(own);
        } else {
            self.own.forget(own);
        }
        let message = error.message.clone();
        self.abandon(now, AbandonReason::MembershipLost { message });
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "no other stage removes members"
    )]
    fn left(
        &mut self,
        now: Duration,
        results: Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError>,
    ) {
        if !std::mem::take(&mut self.awaiting) {
            return;
        }
        match self.stage {
            Stage::Probing { .. } => self.own.unused.clear(),
            Stage::ReleasingIds => self.ids_released(now),
            Stage::Removing => self.members_removed(now, results),
            Stage::LiftingBarrier => self.barrier_lifted(now, results),
            Stage::Leaving(polling) => self.own_members_left(now, polling, results),
            _ => {}
        }
    }

    /// Leaves a stage whose time has passed.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others have no deadline of their own"
    )]
    fn check_deadlines(&mut self, now: Duration) {
        if now > self.started + self.limits.total && !self.is_ending() {
            self.abandon(
                now,
                AbandonReason::TimedOut {
                    limit: self.limits.total,
                },
            );
        }
        // Removed members are waited for beyond the total time, but not beyond their own.
        match self.stage {
            Stage::Probing { since } => self.check_probe(now, since),
            Stage::Holding { until } if now >= until => self.enter(Stage::CheckingBarrier),
            Stage::AwaitingLeadership { until } if now >= until => self.leadership_missed(now),
            Stage::Rejoining { until, .. } if now >= until => self.rejoin_missed(now),
            Stage::AwaitingReturn(polling) if now >= polling.until => {
                self.return_missed(now, polling)
            }
            Stage::Resting { next, until } if now >= until => self.rejoin(next, now),
            Stage::Lingering { until } if now >= until => self.conclude(now),
            _ => {}
        }
    }
}

fn describe() -> Need {
    Need::Request(CoordinatorRequest::Describe)
}

/// Whether the coordinator no longer has the member in this generation.
fn is_membership_lost(kind: CoordinatorErrorKind) -> bool {
    match kind {
        CoordinatorErrorKind::UnknownMember
        | CoordinatorErrorKind::IllegalGeneration
        | CoordinatorErrorKind::FencedInstance => true,
        CoordinatorErrorKind::RebalanceInProgress
        | CoordinatorErrorKind::InvalidSessionTimeout
        | CoordinatorErrorKind::GroupFull
        | CoordinatorErrorKind::InconsistentProtocol
        | CoordinatorErrorKind::CoordinatorChanged
        | CoordinatorErrorKind::Forbidden
        | CoordinatorErrorKind::Other
        | CoordinatorErrorKind::Lost => false,
    }
}
