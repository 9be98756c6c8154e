//! The barrier: the scout holds the join phase open, while members are removed and rejoin.

use std::time::Duration;

use kafka_assignors::MemberIndex;

use super::{
    AbandonReason, CoordinatorError, CoordinatorErrorKind, CoordinatorRequest, DescribedGroup,
    GroupState, Handover, HandoverLimits, HandoverMember, LeavingMember, Need, OwnMember, Polling,
    Stage, is_membership_lost,
};
use crate::group::{ClientFamily, RebalanceProtocol};
use crate::handover::plan::HandoverGoal;
use crate::handover::step::Connection;

impl Handover {
    /// The JoinGroup of the assigner (or the trigger) was sent. Once the coordinator lists it, the
    /// group is rebalancing, and the scout holds the join phase open.
    pub(super) fn parking_described(
        &mut self,
        now: Duration,
        polling: Polling,
        group: Result<DescribedGroup, CoordinatorError>,
    ) {
        let assigner = self.own.id(OwnMember::Assigner);
        let listed = group.as_ref().is_ok_and(|group| {
            is_joining(group)
                && group
                    .members
                    .iter()
                    .any(|member| member.labels.member_id.as_deref() == Some(assigner))
        });
        if listed {
            self.hold_until = if self.removes_at_once() {
                now
            } else {
                self.parked_at(now)
            };
            if self.own.unused.is_empty() {
                self.enter(Stage::Holding {
                    until: self.hold_until,
                });
            } else {
                self.enter(Stage::ReleasingIds);
            }
        } else if now >= polling.until {
            let seen = match group {
                Ok(group) => format!("the state of the group is {}", group.state),
                Err(error) => error.message,
            };
            self.abandon(now, AbandonReason::NotParked { seen });
        } else {
            self.enter(Stage::Parking(polling.again(now, HandoverLimits::POLL)));
        }
    }

    /// Whether the members are removed before they rejoin.
    ///
    /// In a cooperative group, a dynamic member of librdkafka that is removed while it waits in
    /// JoinGroup loses its partitions either way. If it has sent a commit meanwhile, the
    /// coordinator refuses that commit right after the removal, and the client discards the member
    /// id that it has just requested (`rd_kafka_cgrp_handle_JoinGroup`: "discarding outdated
    /// request"). That id is pending, and holds up the group until the member's session timeout. A
    /// member that has not rejoined yet learns of its removal from a heartbeat or a commit, and
    /// requests one id. In an eager group, a member has committed and given up its partitions when
    /// it waits in JoinGroup.
    fn removes_at_once(&self) -> bool {
        let members = &self.plan.members;
        self.plan.client == Some(ClientFamily::Librdkafka)
            && self.plan.protocol == RebalanceProtocol::Cooperative
            && self.removals().into_iter().all(|index| {
                let member = members.get(index.get());
                member.is_some_and(|member| member.instance.is_none())
            })
    }

    /// The time at which the members have probably rejoined, if the join phase began `now`.
    ///
    /// A member learns of the rebalance at its next heartbeat. The probe may have begun shortly
    /// before the heartbeats of all members, so its duration does not show their interval; but its
    /// end reset their timers.
    fn parked_at(&self, now: Duration) -> Duration {
        let probe = self.probe.unwrap_or_default();
        let as_in_probe = now + probe * 6 / 5;
        let heartbeats = self.probe_ended + self.limits.heartbeat;
        let parked = as_in_probe.max(heartbeats) + HandoverLimits::PARKING_MARGIN;
        parked.min(now + HandoverLimits::LONGEST_HOLD)
    }

    pub(super) fn release_ids(&self) -> Need {
        let members = self.own.unused.iter();
        Need::Request(CoordinatorRequest::Leave {
            members: members
                .map(|id| LeavingMember {
                    member_id: id.clone(),
                    instance: None,
                })
                .collect(),
            reason: "rebalancer: member ids that are not used",
        })
    }

    /// If the release failed, the ids expire with the session timeout.
    pub(super) fn ids_released(&mut self, now: Duration) {
        self.own.unused.clear();
        self.enter(Stage::Holding {
            until: self.hold_until.max(now),
        });
    }

    /// The group is read for the last time before members are removed.
    pub(super) fn barrier_described(
        &mut self,
        now: Duration,
        group: Result<DescribedGroup, CoordinatorError>,
    ) {
        let group = match group {
            Ok(group) => group,
            Err(error) => return self.abandon(now, AbandonReason::refused(&error)),
        };
        if !is_joining(&group) {
            let seen = format!("the state of the group is {}", group.state);
            return self.abandon(now, AbandonReason::NotParked { seen });
        }
        let own = [OwnMember::Scout, OwnMember::Assigner];
        match self.members_differ(&group, &own) {
            Some(difference) => self.abandon(now, AbandonReason::changed(difference)),
            None => {
                self.enter(Stage::RenewingBarrier { sent: None });
            }
        }
    }

    /// The members are removed only if the scout's session was just renewed. If it expired before
    /// they are back, the join phase would end, and their partitions could be given to others.
    pub(super) fn barrier_renewed(
        &mut self,
        now: Duration,
        sent: Duration,
        result: Result<(), CoordinatorError>,
    ) {
        self.awaiting = false;
        let took = now.saturating_sub(sent);
        // The session may have been renewed at any time since the heartbeat was sent.
        if took > self.own.session_timeout() / 3 {
            let seen = format!("the scout's heartbeat took {:.1} s", took.as_secs_f64());
            return self.abandon(now, AbandonReason::NotParked { seen });
        }
        match result {
            Ok(()) => {
                let seen = "the scout's heartbeat reports no rebalance".to_owned();
                self.abandon(now, AbandonReason::NotParked { seen });
            }
            Err(error) if error.kind == CoordinatorErrorKind::RebalanceInProgress => {
                self.removed = self.removals();
                self.enter(Stage::Removing);
            }
            Err(error) if is_membership_lost(error.kind) => {
                self.membership_lost(now, OwnMember::Scout, &error);
            }
            Err(error) => self.abandon(now, AbandonReason::refused(&error)),
        }
    }

    pub(super) fn remove_members(&self) -> Need {
        let members = self.removed.iter().filter_map(|index| {
            let member = self.plan.members.get(index.get())?;
            Some(LeavingMember {
                member_id: self.ids.get(index.get())?.clone(),
                instance: member.instance.clone(),
            })
        });
        Need::Request(CoordinatorRequest::Leave {
            members: members.collect(),
            reason: match self.plan.goal {
                HandoverGoal::Assign(_) => "rebalancer: election of another leader; rejoin",
                HandoverGoal::Rejoin(_) => "rebalancer: rejoin",
            },
        })
    }

    /// The members were removed, unless the group has changed. If the response was lost, the group
    /// shows whether they were: they return only if they were removed.
    pub(super) fn members_removed(
        &mut self,
        now: Duration,
        results: Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError>,
    ) {
        match results {
            Ok(results) => {
                let refused = results.iter().find_map(|result| result.err());
                let mut results = results.iter();
                self.removed
                    .retain(|_| results.next().is_some_and(Result::is_ok));
                if let Some(kind) = refused {
                    let difference = format!("a member could not be removed: {kind}");
                    self.postponed = Some(AbandonReason::changed(difference));
                }
            }
            Err(error) if error.kind == CoordinatorErrorKind::Lost => {
                self.removal_lost = true;
                self.postponed = Some(AbandonReason::refused(&error));
            }
            Err(error) => {
                self.removed.clear();
                self.postponed.get_or_insert(AbandonReason::refused(&error));
            }
        }
        if self.removed.is_empty() {
            return self.conclude(now);
        }
        if self.is_of_consumers() {
            return self.consumers_removed(now);
        }
        let mut limit = self.probe.unwrap_or_default() + Duration::from_secs(3);
        if self.removes_at_once() {
            // They learn of it at their next heartbeat.
            limit += self.limits.heartbeat;
        }
        let limit = limit.min(HandoverLimits::LONGEST_RETURN);
        self.await_return(
            now,
            match self.plan.goal {
                HandoverGoal::Assign(_) => limit,
                // No member of ours leads, so the barrier alone keeps the partitions of an absent
                // member from others.
                HandoverGoal::Rejoin(_) => limit + HandoverLimits::LONGEST_ABSENCE,
            },
        );
        self.take_leadership(now);
    }

    /// The group is read until the removed members are back, for at most `limit`.
    pub(super) fn await_return(&mut self, now: Duration, limit: Duration) {
        let limit = match self.stop {
            Some(_) => limit.min(HandoverLimits::STOP),
            None => limit,
        };
        self.enter(Stage::AwaitingReturn(Polling::new(now, limit)));
    }

    pub(super) fn return_described(
        &mut self,
        now: Duration,
        polling: Polling,
        group: Result<DescribedGroup, CoordinatorError>,
    ) {
        if let Ok(group) = &group {
            // The request did not arrive, unless it is still on its way.
            let is_overdue = now >= polling.since + HandoverLimits::LATE_REMOVAL;
            if self.removal_lost
                && is_overdue
                && !self.is_of_consumers()
                && self.still_lists_removed(group)
            {
                self.removed.clear();
                return self.conclude(now);
            }
            self.find_returned(group);
        }
        if self.removed_are_back() {
            self.after_return(now);
        } else {
            let next = polling.again(now, HandoverLimits::POLL);
            self.enter(Stage::AwaitingReturn(next));
        }
    }

    /// Adopts the new ids of removed members that have rejoined.
    pub(super) fn find_returned(&mut self, group: &DescribedGroup) {
        let gone: Vec<MemberIndex> = self
            .removed
            .iter()
            .copied()
            .filter(|index| !self.returned.contains(index))
            .collect();
        for index in gone {
            let Some(member) = self.plan.members.get(index.get()) else {
                continue;
            };
            let kept_id = self.consumer_is_listed(index, group);
            let new_id = kept_id.or_else(|| {
                // Another consumer of the same process may have restarted instead.
                if self.similar_member_is_missing(member, group) {
                    return None;
                }
                group.members.iter().find_map(|described| {
                    let other = HandoverMember::of(described);
                    let is_new = !other.member_id.is_empty()
                        && !self.ids.contains(&other.member_id)
                        && !self.own.is_own(&other.member_id);
                    (is_new && member.is_same_client(&other)).then_some(other.member_id)
                })
            });
            if let (Some(new_id), Some(id)) = (new_id, self.ids.get_mut(index.get())) {
                *id = new_id;
                self.returned.push(index);
            }
        }
    }

    /// Whether the group lacks a member of the plan that was not removed and that has the same
    /// labels as this one, as dynamic members of one process do.
    fn similar_member_is_missing(&self, member: &HandoverMember, group: &DescribedGroup) -> bool {
        let mut indices = MemberIndex::all(self.ids.len());
        indices.any(|index| {
            let similar = self.plan.members.get(index.get());
            similar.is_some_and(|similar| similar.is_same_client(member))
                && !self.removed.contains(&index)
                && !self.is_listed(index, group)
        })
    }

    /// Whether the group has the member under the id that is known.
    fn is_listed(&self, index: MemberIndex, group: &DescribedGroup) -> bool {
        let id = self.ids.get(index.get());
        let mut members = group.members.iter();
        members.any(|member| member.labels.member_id.as_ref() == id)
    }

    /// Adopts the new ids of static members of the plan. A static member that joins again with its
    /// instance id replaces itself. librdkafka does so after its removal if a commit was refused
    /// meanwhile.
    pub(super) fn adopt_static_members<'a>(
        &mut self,
        listed: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) {
        let indices = MemberIndex::all(self.ids.len());
        let members: Vec<_> = self.plan.members.iter().zip(indices).collect();
        for (id, instance) in listed {
            let known = members
                .iter()
                .find(|(member, _)| instance.is_some() && member.instance.as_deref() == instance);
            let Some((_, index)) = known else { continue };
            let is_back = self.removed.contains(index) && !self.returned.contains(index);
            if let Some(known) = self.ids.get_mut(index.get())
                && known != id
                && !id.is_empty()
            {
                id.clone_into(known);
                if is_back {
                    self.returned.push(*index);
                }
            }
        }
    }

    /// Whether the group still has every removed member under its old id.
    fn still_lists_removed(&self, group: &DescribedGroup) -> bool {
        let mut removed = self.removed.iter();
        removed.all(|index| self.is_listed(*index, group))
    }

    pub(super) fn removed_are_back(&self) -> bool {
        self.removed
            .iter()
            .all(|index| self.returned.contains(index))
    }

    /// The time for the removed members has passed. As the leader, the assigner then restores the
    /// owners without them. In a rejoin, our members leave.
    pub(super) fn return_missed(&mut self, now: Duration, polling: Polling) {
        if self.awaiting {
            return;
        }
        let members = self.removed.len().saturating_sub(self.returned.len());
        let limit = polling.limit();
        self.postponed
            .get_or_insert(AbandonReason::NotBack { members, limit });
        self.after_return(now);
    }

    /// The barrier is lifted, unless a stop was requested, or one of our members is not in place.
    /// In a rejoin, both of our members leave.
    fn after_return(&mut self, now: Duration) {
        if let Some(cause) = self.stop {
            self.postponed.get_or_insert(AbandonReason::Stopped(cause));
        }
        if let HandoverGoal::Rejoin(members) = &self.plan.goal {
            let are_back = self.removed.len() == members.len() && self.removed_are_back();
            self.note_return(now);
            // Without the response, it is not known whether members of KIP-848 were removed.
            self.rejoined = are_back && !(self.removal_lost && self.is_of_consumers());
            return self.conclude(now);
        }
        let scout_stays = self.own.generation(OwnMember::Scout).is_some();
        let in_place = scout_stays && self.own.has(OwnMember::Assigner);
        // Without its JoinGroup request in flight, the assigner would not learn that it leads.
        let is_parked = !self.own.is_free(Connection::Own(OwnMember::Assigner));
        let leads = self.own.generation(OwnMember::Assigner).is_some();
        // A leader that stays in the group is elected again.
        let mut leader = self.leader.iter();
        let leader_left = leader.all(|leader| self.removed.contains(leader));
        if self.stop.is_none() && in_place && is_parked && leader_left && !leads {
            // The coordinator may handle a heartbeat of the scout after its departure.
            self.own.stop_heartbeats(OwnMember::Scout);
            self.enter(Stage::LiftingBarrier);
        } else {
            self.conclude(now);
        }
    }
}

/// Whether the group is in the join phase of a rebalance.
fn is_joining(group: &DescribedGroup) -> bool {
    match &group.state {
        GroupState::Rebalancing(state) => state == "PreparingRebalance",
        GroupState::Stable | GroupState::Empty | GroupState::Dead | GroupState::Other(_) => false,
    }
}
