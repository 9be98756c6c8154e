//! The group is confirmed, and the scout joins: it measures a rebalance and learns the leader.

use std::time::Duration;

use kafka_assignors::coordinator_order::may_come_first_in_java_client;

use super::{
    AbandonReason, CoordinatorError, CoordinatorRequest, DescribedGroup, Handover, HandoverLimits,
    JoinRequest, JoinedGroup, Need, OwnMember, Polling, Stage, TopicPartition, leadership,
};
use crate::group::RebalanceProtocol;
use crate::ports::SyncRequest;

/// The number of ids that are drawn for a member that must not lead. Almost every id is suitable.
const MOST_FOLLOWER_DRAWS: usize = 50;

impl Handover {
    /// The group was read again, some time after the plan was made.
    pub(super) fn confirmed(
        &mut self,
        now: Duration,
        group: Result<DescribedGroup, CoordinatorError>,
    ) {
        let group = match group {
            Ok(group) => group,
            Err(error) => return self.abandon(now, AbandonReason::refused(&error)),
        };
        match self.difference(&group, &[]) {
            None if self.is_of_consumers() => self.remove_consumers(now),
            None => self.enter(Stage::DrawingScout { draws: 0 }),
            Some(difference) => self.abandon(now, AbandonReason::changed(difference)),
        }
    }

    /// A request for a member id.
    pub(super) fn draw(&self, own: OwnMember) -> Need {
        Need::Request(CoordinatorRequest::DrawMemberId(
            self.join_request(own, String::new()),
        ))
    }

    /// The JoinGroup request of a member of ours.
    pub(super) fn join(&self, own: OwnMember) -> Need {
        let id = self.own.id(own).to_owned();
        Need::Request(CoordinatorRequest::Join(self.join_request(own, id)))
    }

    fn join_request(&self, own: OwnMember, member_id: String) -> JoinRequest {
        JoinRequest {
            own,
            member_id,
            assignor: self.plan.assignor.clone(),
            session_timeout: self.own.session_timeout(),
            rebalance_timeout: HandoverLimits::REBALANCE_TIMEOUT,
        }
    }

    /// The broker does not allow the session timeout: the next longer one is tried.
    pub(super) fn lengthen_session(&mut self, now: Duration) {
        let longest = match self.plan.protocol {
            RebalanceProtocol::Cooperative => Duration::MAX,
            RebalanceProtocol::Eager => HandoverLimits::LONGEST_EAGER_SESSION,
        };
        let next = self.own.lengthen_session();
        if next.is_none_or(|next| next > longest) {
            self.abandon(now, AbandonReason::SessionTimeout);
        }
    }

    /// Reserves an id for a member of ours that must not lead, if it is suitable, which is
    /// returned.
    ///
    /// The member is a follower of the group's own leader. A Java leader that iterates over it
    /// first would give partitions to it, although it subscribes to no topic. And the coordinator
    /// must elect another member before it: the assigner, or in a rejoin a member of the group.
    fn choose_follower_id(&mut self, own: OwnMember, id: String) -> bool {
        let suitable = !may_come_first_in_java_client(&id, &self.ids) && !self.is_unbeatable(&id);
        if suitable {
            self.ours.push(id.clone());
            self.own.choose(own, id);
        } else {
            self.own.unused.push(id);
        }
        suitable
    }

    pub(super) fn scout_id_drawn(&mut self, now: Duration, id: String, draws: usize) {
        let draws = draws + 1;
        if self.choose_follower_id(OwnMember::Scout, id) {
            self.enter(Stage::Probing { since: now });
        } else if draws < MOST_FOLLOWER_DRAWS {
            self.enter(Stage::DrawingScout { draws });
        } else {
            self.abandon(now, AbandonReason::NoFollowerId { draws });
        }
    }

    /// An id was drawn for the trigger of a rejoin, which takes the part of the assigner.
    pub(super) fn trigger_id_drawn(&mut self, now: Duration, id: String) {
        let Stage::DrawingAssigner(draws) = &self.stage else {
            return;
        };
        let mut draws = draws.clone();
        draws.drawn += 1;
        if self.choose_follower_id(OwnMember::Assigner, id) {
            self.enter(Stage::Parking(Polling::new(now, HandoverLimits::PARK)));
        } else if draws.drawn < MOST_FOLLOWER_DRAWS {
            self.enter(Stage::DrawingAssigner(draws));
        } else {
            let draws = draws.drawn;
            self.abandon(now, AbandonReason::NoFollowerId { draws });
        }
    }

    /// The probe is given up when it takes too long, without waiting for its end.
    pub(super) fn check_probe(&mut self, now: Duration, since: Duration) {
        let took = now.saturating_sub(since);
        if took > self.limits.join {
            let limit = self.limits.join;
            self.abandon(now, AbandonReason::SlowRejoin { took, limit });
        }
    }

    pub(super) fn scout_joined(
        &mut self,
        now: Duration,
        joined: Result<JoinedGroup, CoordinatorError>,
    ) {
        let Stage::Probing { since } = self.stage else {
            return;
        };
        let joined = match joined {
            Ok(joined) => joined,
            Err(error) => return self.abandon(now, AbandonReason::refused(&error)),
        };
        self.joining = false;
        let took = now.saturating_sub(since);
        self.probe = Some(took);
        self.own
            .start_heartbeats(OwnMember::Scout, joined.generation, now);
        let Some(leader) = self.index_of(&joined.leader) else {
            let leader = &joined.leader;
            let difference =
                format!("its leader `{leader}` is not one of the members that were read");
            return self.abandon(now, AbandonReason::changed(difference));
        };
        if joined.assignor != self.plan.assignor {
            let difference = format!("its assignor is now {}", joined.assignor);
            return self.abandon(now, AbandonReason::changed(difference));
        }
        self.leader = Some(leader);
        let generation = joined.generation;
        self.enter(Stage::SyncingScout { generation });
    }

    pub(super) fn sync_scout(&self, generation: i32) -> Need {
        Need::Request(CoordinatorRequest::Sync(SyncRequest {
            own: OwnMember::Scout,
            member_id: self.own.id(OwnMember::Scout).to_owned(),
            generation,
            assignor: self.plan.assignor.clone(),
            assignments: Vec::new(),
            sticky_user_data: false,
        }))
    }

    pub(super) fn scout_synced(
        &mut self,
        now: Duration,
        partitions: Result<Vec<TopicPartition>, CoordinatorError>,
    ) {
        if !matches!(self.stage, Stage::SyncingScout { .. }) {
            return;
        }
        self.awaiting = false;
        match partitions {
            Err(error) => self.abandon(now, AbandonReason::refused(&error)),
            Ok(partitions) if !partitions.is_empty() => {
                let partitions = partitions.len();
                self.abandon(now, AbandonReason::ScoutGotPartitions { partitions });
            }
            Ok(_) => {
                self.probe_ended = now;
                let took = self.probe.unwrap_or_default();
                let limit = self.limits.join;
                if took > limit {
                    return self.abandon(now, AbandonReason::SlowRejoin { took, limit });
                }
                self.enter(Stage::SettlingProbe(Polling::new(
                    now,
                    self.settling_limit(),
                )));
            }
        }
    }

    /// The longest that a rebalance may take to settle.
    pub(super) fn settling_limit(&self) -> Duration {
        self.probe.unwrap_or(self.limits.join) + Duration::from_secs(3)
    }

    /// The group must be as before, with the scout.
    pub(super) fn probe_described(
        &mut self,
        now: Duration,
        polling: Polling,
        group: Result<DescribedGroup, CoordinatorError>,
    ) {
        let difference = match &group {
            Ok(group) => self.difference(group, &[OwnMember::Scout]),
            Err(error) => Some(error.message.clone()),
        };
        match difference {
            None => self.begin_draws(now),
            Some(difference) if now >= polling.until => {
                self.abandon(now, AbandonReason::changed(difference));
            }
            Some(_) => {
                self.enter(Stage::SettlingProbe(
                    polling.again(now, HandoverLimits::POLL),
                ));
            }
        }
    }

    fn begin_draws(&mut self, now: Duration) {
        let removals = self.removals().len();
        if self.plan.target().is_some() && removals > leadership::MOST_REMOVALS {
            return self.abandon(now, AbandonReason::TooManyBlockers { removals });
        }
        self.enter(Stage::DrawingAssigner(leadership::Draws::new(now)));
    }
}
