//! Verification, leaving, and abandoning.

use std::collections::HashSet;
use std::time::Duration;

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex};

use super::{
    AbandonReason, CoordinatorError, CoordinatorErrorKind, CoordinatorRequest, DescribedGroup,
    GroupState, Handover, HandoverLimits, HandoverOutcome, HandoverReport, Need, OwnMember,
    Polling, Seconds, Stage, StopCause,
};
use crate::group::Protocol;
use crate::handover::plan::HandoverGoal;
use crate::handover::response::locate;
use crate::ports::{DescribedMember, GroupKind};

/// The number of attempts to remove our members, whatever time they take. Beyond, they expire.
const LEAST_ATTEMPTS: usize = 2;

impl Handover {
    pub(super) fn enter(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Counts a rebalance in which one of our members joins.
    pub(super) fn begin_rebalance(&mut self) {
        self.rebalances += 1;
        self.joining = true;
    }

    /// The member of the plan with this current id.
    pub(super) fn index_of(&self, id: &str) -> Option<MemberIndex> {
        let index = self.ids.iter().position(|known| known == id)?;
        Some(MemberIndex::new(index))
    }

    /// The difference between a group at rest, with these members of ours, and the plan.
    pub(super) fn difference(&self, group: &DescribedGroup, own: &[OwnMember]) -> Option<String> {
        let is_expected = match self.plan.group_protocol {
            Protocol::Classic => group.kind == GroupKind::Classic,
            Protocol::Consumer => group.kind == GroupKind::Consumer,
        };
        if !is_expected {
            return Some(format!("its type is now {}", group.kind));
        }
        if let Some(difference) = self.consumers_differ(group) {
            return Some(difference);
        }
        if group.state != GroupState::Stable {
            return Some(format!("its state is {}", group.state));
        }
        if group.assignor.as_deref() != Some(self.plan.assignor.as_str()) {
            let assignor = group.assignor.as_deref().unwrap_or("unknown");
            return Some(format!("its assignor is {assignor}"));
        }
        if let Some(difference) = self.members_differ(group, own) {
            return Some(difference);
        }
        let mut members = group.members.iter();
        let unreadable = members.find_map(|member| {
            let id = member.labels.member_id.as_deref()?;
            let unreadable = member.subscription.is_none() && !self.is_of_consumers();
            (unreadable && self.index_of(id).is_some()).then_some(id)
        });
        if let Some(id) = unreadable {
            return Some(format!("the subscription of member {id} cannot be read"));
        }
        let owners = self.owners_in(group);
        let mut pairs = owners.iter().zip(self.plan.current.owners());
        let moved = pairs.find(|((_, now), before)| now != before);
        moved.map(|((partition, _), _)| {
            let name = self.plan.topics.partition_name(partition);
            format!("partition {name} has another owner")
        })
    }

    /// The difference between the members and those of the plan and these of ours.
    pub(super) fn members_differ(
        &self,
        group: &DescribedGroup,
        own: &[OwnMember],
    ) -> Option<String> {
        let id = |member: &DescribedMember| member.labels.member_id.clone().unwrap_or_default();
        let listed: HashSet<String> = group.members.iter().map(id).collect();
        let ours: Vec<&str> = own.iter().map(|own| self.own.id(*own)).collect();
        let expected = self.ids.iter().map(String::as_str);
        let mut expected = expected.chain(ours.iter().copied());
        if let Some(missing) = expected.find(|id| !listed.contains(*id)) {
            return Some(format!("member {missing} has left"));
        }
        let known: HashSet<&str> = self.ids.iter().map(String::as_str).chain(ours).collect();
        let joined = listed.iter().find(|id| !known.contains(id.as_str()));
        joined.map(|id| format!("member {id} has joined"))
    }

    /// The owners in a described group, in terms of the plan.
    fn owners_in(&self, group: &DescribedGroup) -> Assignment {
        let mut owners = Assignment::unowned(self.plan.topics.partition_count());
        for member in &group.members {
            let id = member.labels.member_id.as_deref().unwrap_or_default();
            let Some(index) = self.index_of(id) else {
                continue;
            };
            for (topic, number) in &member.owned {
                if let Some(partition) = locate(&self.plan, topic, *number) {
                    owners.set(partition, Some(index));
                }
            }
        }
        owners
    }

    /// The target was handed out: the group is read until it has it.
    pub(super) fn target_described(
        &mut self,
        now: Duration,
        polling: Polling,
        group: Result<DescribedGroup, CoordinatorError>,
    ) {
        if let Ok(group) = &group {
            self.adopt_listed_static_members(group);
        }
        let target = self.plan.target().map(|target| &target.owners);
        let has_target = group.is_ok_and(|group| {
            group.state == GroupState::Stable
                && self
                    .members_differ(&group, &[OwnMember::Assigner])
                    .is_none()
                && Some(&self.owners_in(&group)) == target
        });
        if has_target {
            let [shortest, longest] = HandoverLimits::SYNCING;
            let probe = self.probe.unwrap_or_default();
            let until = now + probe.clamp(shortest, longest);
            self.enter(Stage::Lingering { until });
        } else if now >= polling.until {
            let limit = polling.limit();
            self.abandon(
                now,
                AbandonReason::NotSettled {
                    awaited: "the adoption of the target by the group",
                    limit,
                },
            );
        } else {
            self.enter(Stage::Verifying(polling.again(now, HandoverLimits::POLL)));
        }
    }

    fn adopt_listed_static_members(&mut self, group: &DescribedGroup) {
        let labels = group.members.iter().map(|member| &member.labels);
        self.adopt_static_members(labels.map(|labels| {
            let id = labels.member_id.as_deref().unwrap_or_default();
            (id, labels.instance.as_deref())
        }));
    }

    pub(super) fn leave(&self) -> Need {
        Need::Request(CoordinatorRequest::Leave {
            members: self.own.all(),
            reason: "rebalancer: the hand-over is over",
        })
    }

    /// Our members have left. A lost response is no reason to stop: leaving twice changes nothing.
    pub(super) fn own_members_left(
        &mut self,
        now: Duration,
        polling: Polling,
        results: Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError>,
    ) {
        self.attempts += 1;
        if results.is_ok() {
            self.own.forget_all();
        } else if self.attempts < LEAST_ATTEMPTS || now < polling.until {
            let next = polling.again(now, HandoverLimits::LEAVE_PAUSE);
            return self.enter(Stage::Leaving(next));
        }
        self.depart(now);
    }

    fn depart(&mut self, now: Duration) {
        let limit = match self.stop {
            Some(_) => HandoverLimits::STOP,
            // A removed member may have left a pending id, which holds up the join phase.
            None if self.rejoined || self.is_of_consumers() => HandoverLimits::LEADERSHIP,
            // A member of ours that could not be removed expires with its session.
            None if self.own.has(OwnMember::Assigner) || self.own.has(OwnMember::Scout) => {
                self.own.session_timeout() + self.probe.unwrap_or_default() + HandoverLimits::STOP
            }
            None => self.probe.unwrap_or_default() + HandoverLimits::STOP,
        };
        self.own.stop_heartbeats(OwnMember::Scout);
        self.own.stop_heartbeats(OwnMember::Assigner);
        self.enter(Stage::Departing(Polling::new(now, limit)));
    }

    /// The group is read until it is at rest without our members.
    pub(super) fn departure_described(
        &mut self,
        now: Duration,
        polling: Polling,
        group: Result<DescribedGroup, CoordinatorError>,
    ) {
        let at_rest = group.ok().filter(|group| {
            let has_ours = group.members.iter().any(|member| {
                let id = member.labels.member_id.as_deref().unwrap_or_default();
                self.ours.iter().any(|ours| ours == id)
            });
            !has_ours && matches!(group.state, GroupState::Stable | GroupState::Empty)
        });
        match at_rest {
            // Members of a cooperative group may still have to revoke partitions.
            Some(group) if self.rejoined && !self.all_owned(&group) && now < polling.until => {
                self.enter(Stage::Departing(polling.again(now, HandoverLimits::POLL)));
            }
            Some(group) => {
                self.find_returned(&group);
                self.adopt_listed_static_members(&group);
                self.seen = Some(self.owners_in(&group));
                self.settled = true;
                if self.rejoined {
                    self.verify_rejoin(&group, polling.limit());
                }
                self.finish(now);
            }
            None if now >= polling.until => self.finish(now),
            None => {
                self.enter(Stage::Departing(polling.again(now, HandoverLimits::POLL)));
            }
        }
    }

    /// The group is at rest after a rejoin: it must have its members, and all partitions must be
    /// owned.
    fn verify_rejoin(&mut self, group: &DescribedGroup, limit: Duration) {
        let problem = if !self.all_owned(group) {
            Some(AbandonReason::NotSettled {
                awaited: "the assignment of all partitions by the group",
                limit,
            })
        } else {
            self.members_differ(group, &[]).map(AbandonReason::changed)
        };
        match problem {
            None => self.dealt = true,
            Some(problem) => {
                self.abandoned.get_or_insert(problem);
            }
        }
    }

    /// Whether each partition of the plan has an owner, of whatever member.
    fn all_owned(&self, group: &DescribedGroup) -> bool {
        let owned = group.members.iter().flat_map(|member| &member.owned);
        let owned: HashSet<PartitionIndex> = owned
            .filter_map(|(topic, number)| locate(&self.plan, topic, *number))
            .collect();
        owned.len() == self.plan.topics.partition_count()
    }

    /// Whether our members are leaving or have left.
    pub(super) fn is_ending(&self) -> bool {
        matches!(
            self.stage,
            Stage::Leaving(_) | Stage::Departing(_) | Stage::Done
        )
    }

    /// Abandons the hand-over: our members leave the group.
    pub(super) fn abandon(&mut self, now: Duration, reason: AbandonReason) {
        if self.is_ending() {
            return;
        }
        if matches!(self.stage, Stage::Removing | Stage::AwaitingReturn(_)) {
            // Our members leave once the removed members are back, or their time has passed.
            self.postponed.get_or_insert(reason);
            return;
        }
        self.abandoned.get_or_insert(reason);
        self.conclude(now);
    }

    /// Ends the hand-over: our members leave the group, if there are any.
    pub(super) fn conclude(&mut self, now: Duration) {
        if self.is_ending() {
            return;
        }
        if let Some(reason) = self.postponed.take() {
            self.abandoned.get_or_insert(reason);
        }
        self.awaiting = false;
        if let Stage::DrawingAssigner(draws) = &mut self.stage {
            self.own.unused.extend(draws.take_best());
        }
        // The departure causes another rebalance, unless it ends the join phase of the last one.
        if self.rebalances > 0 && !self.joining && !self.is_of_consumers() {
            self.rebalances += 1;
        }
        if !self.own.all().is_empty() {
            let polling = Polling::new(now, HandoverLimits::STOP);
            self.enter(Stage::Leaving(polling));
        } else if self.rebalances > 0 {
            // The coordinator has removed our members.
            self.depart(now);
        } else {
            self.settled = true;
            self.finish(now);
        }
    }

    /// A stop was requested. Removed members are waited for, so that no other member gets their
    /// partitions while they may still process them; everything else ends at once.
    pub(super) fn request_stop(&mut self, now: Duration, cause: StopCause) {
        if self.stop.is_some() || self.is_done() {
            return;
        }
        self.stop = Some(cause);
        let soon = now + HandoverLimits::STOP;
        match &mut self.stage {
            Stage::AwaitingReturn(polling) | Stage::Departing(polling) => {
                polling.until = polling.until.min(soon);
            }
            // The request was not sent yet.
            Stage::Removing if !self.awaiting => {
                self.removed.clear();
                self.abandoned.get_or_insert(AbandonReason::Stopped(cause));
                self.conclude(now);
            }
            Stage::Removing | Stage::Leaving(_) | Stage::Done => {}
            Stage::Confirming { .. }
            | Stage::DrawingScout { .. }
            | Stage::Probing { .. }
            | Stage::SyncingScout { .. }
            | Stage::SettlingProbe(_)
            | Stage::DrawingAssigner(_)
            | Stage::Parking(_)
            | Stage::ReleasingIds
            | Stage::Holding { .. }
            | Stage::CheckingBarrier
            | Stage::RenewingBarrier { .. }
            | Stage::LiftingBarrier
            | Stage::AwaitingLeadership { .. }
            | Stage::Syncing(_)
            | Stage::Resting { .. }
            | Stage::Rejoining { .. }
            | Stage::AwaitingRejoins(_)
            | Stage::Verifying(_)
            | Stage::Lingering { .. } => self.abandon(now, AbandonReason::Stopped(cause)),
        }
    }

    fn finish(&mut self, now: Duration) {
        self.enter(Stage::Done);
        self.ended.get_or_insert(now);
    }

    /// The report. Meaningful once the hand-over is over.
    #[must_use]
    pub fn report(&self) -> HandoverReport {
        let seconds =
            |duration: Duration| Seconds::new(duration.as_secs_f64()).unwrap_or(Seconds::ZERO);
        let ended = self.ended.unwrap_or(self.started);
        let moved = self.seen.as_ref().map(|seen| {
            let pairs = seen.owners().zip(self.plan.current.owners());
            pairs.filter(|(now, before)| now != before).count()
        });
        HandoverReport {
            outcome: self.outcome(),
            rebalances: self.rebalances,
            probe_seconds: self.probe.map(seconds),
            seconds: seconds(ended.saturating_sub(self.started)),
            removed: self.removed.len(),
            returned: self.returned.len(),
            moved,
            double_processing: self.double_processing.map(seconds),
            settled: self.settled,
        }
    }

    fn outcome(&self) -> HandoverOutcome {
        let not_settled = || {
            HandoverOutcome::Abandoned(AbandonReason::NotSettled {
                awaited: "the end of the last rebalance",
                limit: HandoverLimits::STOP,
            })
        };
        let target = match &self.plan.goal {
            HandoverGoal::Assign(target) => target,
            // A stop that was requested after the members had returned changes nothing.
            HandoverGoal::Rejoin(_) if self.dealt => return HandoverOutcome::Rejoined,
            HandoverGoal::Rejoin(_) => {
                let abandoned = self.abandoned.clone().map(HandoverOutcome::Abandoned);
                return abandoned.unwrap_or_else(not_settled);
            }
        };
        let others = self.seen.as_ref().map(|seen| {
            let pairs = seen.iter().zip(target.owners.owners());
            let others = pairs.filter(|((_, now), target)| now != target);
            others
                .map(|((partition, _), _)| partition)
                .collect::<Vec<_>>()
        });
        match (&self.abandoned, others) {
            (_, Some(others)) if others.is_empty() => HandoverOutcome::Assigned,
            (Some(reason), _) => HandoverOutcome::Abandoned(reason.clone()),
            (None, Some(others)) => HandoverOutcome::NotKept {
                partitions: others.len(),
                example: others
                    .first()
                    .map(|partition| self.plan.topics.partition_name(*partition))
                    .unwrap_or_default(),
            },
            (None, None) => not_settled(),
        }
    }

    /// The time at which the stage changes without a response.
    pub(super) fn next_deadline(&self) -> Duration {
        let total = self.started + self.limits.total + Duration::from_millis(1);
        let own = match &self.stage {
            Stage::Probing { since } => *since + self.limits.join + Duration::from_millis(1),
            Stage::Holding { until }
            | Stage::AwaitingLeadership { until }
            | Stage::Lingering { until }
            | Stage::Resting { until, .. }
            | Stage::Rejoining { until, .. } => *until,
            Stage::AwaitingReturn(polling) => return polling.until,
            // Only a response ends these, or their next request.
            Stage::Leaving(_) | Stage::Departing(_) | Stage::Done => return Duration::MAX,
            Stage::Confirming { .. }
            | Stage::DrawingScout { .. }
            | Stage::SyncingScout { .. }
            | Stage::SettlingProbe(_)
            | Stage::DrawingAssigner(_)
            | Stage::Parking(_)
            | Stage::ReleasingIds
            | Stage::CheckingBarrier
            | Stage::RenewingBarrier { .. }
            | Stage::Removing
            | Stage::LiftingBarrier
            | Stage::Syncing(_)
            | Stage::AwaitingRejoins(_)
            | Stage::Verifying(_) => total,
        };
        own.min(total)
    }
}
