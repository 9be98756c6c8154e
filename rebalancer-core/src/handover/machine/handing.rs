//! The assigner, as the leader, hands out assignments: the restore, the first and the last phase.

use std::time::Duration;

use kafka_assignors::{Assignment, MemberIndex};

use super::{
    AbandonReason, CoordinatorError, CoordinatorErrorKind, CoordinatorRequest, Handover,
    HandoverLimits, JoinedGroup, Need, OwnMember, Polling, Stage, TopicPartition,
    is_membership_lost,
};
use crate::group::RebalanceProtocol;
use crate::handover::response::JoinResponse;
use crate::handover::stage::HandoverStage;
use crate::ports::{MemberAssignment, SyncRequest};
use crate::strategy::assign::phases;

/// The number of times that an assignment is handed out again because members lag behind.
const MOST_ROUNDS: usize = 3;

/// The assignment that the assigner hands out as the leader of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Every member gets what it claims, and removed members get back what they owned. In an eager
    /// group, where no member claims anything, the target is handed out at once.
    Restore,
    /// The members give up what moves.
    First,
    /// The target.
    Last,
}

/// The step after an assignment was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// All members sync, then the assigner rejoins, for this phase.
    Rest(Phase),
    /// The members rejoin.
    AwaitRejoins,
    /// The group is verified.
    Verify,
    /// Our members leave.
    Leave,
}

/// A SyncGroup request of the assigner.
#[derive(Debug, Clone)]
pub(super) struct Handout {
    phase: Phase,
    generation: i32,
    assignment: Assignment,
    entries: Vec<MemberAssignment>,
    then: Then,
    /// The time of the request. The SyncGroup requests of the other members wait for it, so all
    /// members that have synced by then get their assignments at once.
    not_before: Duration,
}

impl Handout {
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn not_before(&self) -> Duration {
        self.not_before
    }
}

impl Handover {
    pub(super) fn stage_of(&self, phase: Phase) -> HandoverStage {
        match (self.plan.protocol, phase) {
            (RebalanceProtocol::Cooperative, Phase::Restore) => HandoverStage::Restoring,
            (RebalanceProtocol::Cooperative, Phase::First) => HandoverStage::Revoking,
            (RebalanceProtocol::Cooperative, Phase::Last) | (RebalanceProtocol::Eager, _) => {
                HandoverStage::Assigning
            }
        }
    }

    /// Handles a JoinGroup response of the assigner, for which `phase` is due.
    pub(super) fn lead(&mut self, now: Duration, joined: JoinedGroup, phase: Phase) {
        self.joining = false;
        let own = self.own.id(OwnMember::Assigner).to_owned();
        if joined.leader != own {
            let reason = self.postponed.clone();
            return self.abandon(now, reason.unwrap_or(AbandonReason::ElectionLost));
        }
        if joined.assignor != self.plan.assignor {
            let difference = format!("its assignor is now {}", joined.assignor);
            return self.abandon(now, AbandonReason::changed(difference));
        }
        let members = joined.members.iter();
        self.adopt_static_members(
            members.map(|member| (member.member_id.as_str(), member.instance.as_deref())),
        );
        let response = JoinResponse::read(&self.plan, &self.ids, &own, &joined.members);
        let difference = response.difference().map(AbandonReason::changed);
        let lags = phase == Phase::First && !response.claims_are(&self.handed);
        // Before the first phase, every member must claim what the restore gave to it. Otherwise it
        // has not synced in time, and the restore is handed out again.
        let rounds = self.rounds + usize::from(lags);
        let lasting = (rounds > MOST_ROUNDS).then(|| {
            AbandonReason::changed("members do not claim the partitions that they were given")
        });
        let phase = if lags { Phase::Restore } else { phase };
        let deviation = self.postponed.clone().or(difference).or(lasting);
        let (assignment, then) = if deviation.is_some() {
            (self.restored(&response), Then::Leave)
        } else {
            self.assignment_of(phase, &response)
        };
        let entries = response.entries(&self.ids, &own, &assignment);
        self.postponed = deviation;
        self.rounds = rounds;
        // Members that give up partitions rejoin at once. A member that has not synced by then
        // would still claim what it was to give up.
        let revokes = then == Then::AwaitRejoins;
        let not_before = if revokes {
            now + self.syncing_time()
        } else {
            now
        };
        self.own
            .start_heartbeats(OwnMember::Assigner, joined.generation, now);
        self.enter(Stage::Syncing(Handout {
            phase,
            generation: joined.generation,
            assignment,
            entries,
            then,
            not_before,
        }));
    }

    /// The time in which the members sync.
    fn syncing_time(&self) -> Duration {
        let [shortest, longest] = HandoverLimits::SYNCING;
        let rounds = u32::try_from(self.rounds).unwrap_or(u32::MAX);
        shortest
            .saturating_mul(3_u32.saturating_pow(rounds))
            .min(longest)
    }

    fn assignment_of(&self, phase: Phase, response: &JoinResponse<'_>) -> (Assignment, Then) {
        // No member of ours is meant to lead in a rejoin.
        let Some(target) = self.plan.target() else {
            return (self.restored(response), Then::Leave);
        };
        match (self.plan.protocol, phase) {
            (RebalanceProtocol::Cooperative, Phase::Restore) => {
                (self.restored(response), Then::Rest(Phase::First))
            }
            (RebalanceProtocol::Cooperative, Phase::First) => {
                let kept =
                    phases::phase_one(response.joined(), &target.owners, Some(&target.loads));
                (kept, Then::AwaitRejoins)
            }
            (RebalanceProtocol::Eager, _) | (RebalanceProtocol::Cooperative, Phase::Last) => {
                let former = response.former(&self.owners_before);
                let handed = phases::hand_out(response.joined(), &target.owners, &former);
                let then = if handed == target.owners {
                    Then::Verify
                } else {
                    Then::AwaitRejoins
                };
                (handed, then)
            }
        }
    }

    /// Every member keeps what it claims, and gets back what no member claims.
    fn restored(&self, response: &JoinResponse<'_>) -> Assignment {
        let members: Vec<MemberIndex> = MemberIndex::all(self.ids.len()).collect();
        let former = response.former(&self.handed);
        phases::restore(response.joined(), &former, &members)
    }

    pub(super) fn hand_out(&self, handout: &Handout) -> Need {
        Need::Request(CoordinatorRequest::Sync(SyncRequest {
            own: OwnMember::Assigner,
            member_id: self.own.id(OwnMember::Assigner).to_owned(),
            generation: handout.generation,
            assignor: self.plan.assignor.clone(),
            assignments: handout.entries.clone(),
            sticky_user_data: self
                .plan
                .target()
                .is_some_and(|target| target.sticky_user_data),
        }))
    }

    pub(super) fn assigner_synced(
        &mut self,
        now: Duration,
        partitions: Result<Vec<TopicPartition>, CoordinatorError>,
    ) {
        let Stage::Syncing(handout) = &self.stage else {
            return;
        };
        let handout = handout.clone();
        self.awaiting = false;
        match partitions {
            Ok(_) => self.handed_out(now, handout),
            Err(error) if error.kind == CoordinatorErrorKind::RebalanceInProgress => {
                self.hand_out_again(now, handout.phase);
            }
            Err(error) if is_membership_lost(error.kind) => {
                self.membership_lost(now, OwnMember::Assigner, &error);
            }
            Err(error) => self.abandon(now, AbandonReason::refused(&error)),
        }
    }

    fn handed_out(&mut self, now: Duration, handout: Handout) {
        self.own
            .start_heartbeats(OwnMember::Assigner, handout.generation, now);
        if handout.phase == Phase::Restore {
            self.owners_before = handout.assignment.clone();
        }
        self.handed = handout.assignment;
        match handout.then {
            Then::Rest(next) => {
                let until = now + self.syncing_time();
                self.enter(Stage::Resting { next, until });
            }
            Then::AwaitRejoins if self.rounds < MOST_ROUNDS => {
                // The members of the first phase are in time, unless the last phase shows
                // otherwise.
                self.rounds += usize::from(handout.phase != Phase::First);
                let limit = self.settling_limit();
                self.enter(Stage::AwaitingRejoins(Polling::new(now, limit)));
            }
            Then::AwaitRejoins => self.abandon(
                now,
                AbandonReason::NotSettled {
                    awaited: "the revocation of the partitions that move",
                    limit: self.settling_limit() * u32::try_from(MOST_ROUNDS).unwrap_or(1),
                },
            ),
            Then::Verify => {
                let limit = self.settling_limit();
                self.enter(Stage::Verifying(Polling::new(now, limit)));
            }
            // The removed members may still process their partitions, which no member has now.
            Then::Leave if !self.removed_are_back() => {
                self.await_return(now, HandoverLimits::LONGEST_ABSENCE);
            }
            Then::Leave => self.conclude(now),
        }
    }

    /// A member has rejoined before the assignment was handed out: another generation follows.
    fn hand_out_again(&mut self, now: Duration, phase: Phase) {
        self.rounds += 1;
        if self.rounds > MOST_ROUNDS {
            let difference = "members keep rejoining";
            self.abandon(now, AbandonReason::changed(difference));
        } else {
            self.rejoin(phase, now);
        }
    }

    /// The assigner rejoins, which begins a rebalance because it is the leader.
    pub(super) fn rejoin(&mut self, next: Phase, now: Duration) {
        self.own.stop_heartbeats(OwnMember::Assigner);
        self.begin_rebalance();
        self.enter(Stage::Rejoining {
            next,
            until: now + self.settling_limit(),
        });
    }

    pub(super) fn rejoined(
        &mut self,
        now: Duration,
        next: Phase,
        joined: Result<JoinedGroup, CoordinatorError>,
    ) {
        self.awaiting = false;
        match joined {
            Ok(joined) => self.lead(now, joined, next),
            Err(error) if is_membership_lost(error.kind) => {
                self.membership_lost(now, OwnMember::Assigner, &error);
            }
            Err(error) => self.abandon(now, AbandonReason::refused(&error)),
        }
    }

    pub(super) fn rejoin_missed(&mut self, now: Duration) {
        let limit = self.settling_limit();
        self.abandon(
            now,
            AbandonReason::NotSettled {
                awaited: "the end of the join phase",
                limit,
            },
        );
    }

    pub(super) fn own_heartbeat(&self, own: OwnMember) -> Need {
        Need::Request(CoordinatorRequest::Heartbeat {
            own,
            member_id: self.own.id(own).to_owned(),
            generation: self.own.generation(own).unwrap_or_default(),
        })
    }

    /// No member has rejoined yet.
    pub(super) fn poll_rejoins(&mut self, now: Duration) {
        let Stage::AwaitingRejoins(polling) = self.stage else {
            return;
        };
        if now >= polling.until {
            self.rejoin(Phase::Last, now);
        } else {
            let next = polling.again(now, HandoverLimits::FAST_HEARTBEAT);
            self.enter(Stage::AwaitingRejoins(next));
        }
    }

    /// A rebalance that the hand-over did not expect: the group has changed. Our members leave, and
    /// the group's own assignor takes over.
    pub(super) fn rebalance_while_leader(&mut self, now: Duration) {
        if let Stage::Syncing(handout) = &self.stage
            && !self.awaiting
        {
            let phase = handout.phase;
            return self.hand_out_again(now, phase);
        }
        if matches!(self.stage, Stage::Verifying(_) | Stage::Lingering { .. }) {
            self.abandon(now, AbandonReason::changed("another rebalance began"));
        }
    }
}
