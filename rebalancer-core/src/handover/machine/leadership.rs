//! The assigner becomes the leader, while the scout holds the join phase open.

use std::time::Duration;

use kafka_assignors::MemberIndex;
use kafka_assignors::coordinator_order::{Election, MemberTable, TABLE_SIZES};

use super::{
    AbandonReason, CoordinatorError, CoordinatorErrorKind, CoordinatorRequest, Handover,
    HandoverLimits, JoinedGroup, LeavingMember, Need, OwnMember, Phase, Polling, Stage,
    is_membership_lost,
};
use crate::handover::plan::HandoverGoal;

/// The largest number of members that are removed: the leader, and four that are ahead of every
/// newcomer, because they are in the first bucket of the coordinator's table.
///
/// Their number is nearly Poisson-distributed with the load of the table as its mean, from 0.375 to
/// 0.75: there are more than two in one of 25 to 150 groups, more than four in one of 900 at most.
pub(super) const MOST_REMOVALS: usize = 5;

/// The number of table sizes at which a member id must win to be accepted once
/// [`HandoverLimits::DRAW`] has passed: the smallest one and twice as many buckets.
const ACCEPTED_SIZES: usize = 2;

/// Member ids that are drawn for the assigner.
#[derive(Debug, Clone)]
pub(super) struct Draws {
    since: Duration,
    pub(super) drawn: usize,
    /// The best id, and the number of table sizes at which it wins.
    best: Option<(String, usize)>,
}

impl Draws {
    pub(super) fn new(since: Duration) -> Self {
        Self {
            since,
            drawn: 0,
            best: None,
        }
    }

    /// Takes the best id, which is not used after all.
    pub(super) fn take_best(&mut self) -> Option<String> {
        self.best.take().map(|(id, _)| id)
    }
}

impl Handover {
    /// The members to remove: those that are to rejoin, or for an election the leader, and those
    /// that the coordinator would elect before any newcomer.
    pub(super) fn removals(&self) -> Vec<MemberIndex> {
        match &self.plan.goal {
            HandoverGoal::Assign(_) => self.removals_for_election(),
            HandoverGoal::Rejoin(members) => members.clone(),
        }
    }

    fn removals_for_election(&self) -> Vec<MemberIndex> {
        let members = self.table_members();
        let mut removals: Vec<MemberIndex> = self.leader.into_iter().collect();
        for coordinator in &self.plan.coordinators {
            let table = MemberTable::smallest(*coordinator, members);
            for blocker in table.first_bucket(&self.ids) {
                if !removals.contains(&blocker) {
                    removals.push(blocker);
                }
            }
        }
        removals
    }

    /// The election of the assigner when the members are removed. The scout is a rival: if it
    /// became the leader, the coordinator would elect again when it leaves, and a removed member
    /// that has returned with another id might come first.
    fn election(&self) -> Election {
        let removals = self.removals();
        let rivals = self
            .ids
            .iter()
            .zip(MemberIndex::all(self.ids.len()))
            .filter(|(_, index)| !removals.contains(index))
            .map(|(id, _)| id.as_str());
        let rivals: Vec<&str> = rivals.chain([self.own.id(OwnMember::Scout)]).collect();
        Election::new(&self.plan.coordinators, self.table_members(), &rivals)
    }

    /// The number of members that the coordinator's table holds during the election.
    fn table_members(&self) -> usize {
        self.ids.len() + 2
    }

    /// Whether no newcomer could be elected before this id in some table.
    pub(super) fn is_unbeatable(&self, id: &str) -> bool {
        let members = self.table_members();
        self.plan.coordinators.iter().any(|coordinator| {
            let table = MemberTable::smallest(*coordinator, members);
            !table.first_bucket(&[id]).is_empty()
        })
    }

    pub(super) fn assigner_id_drawn(&mut self, now: Duration, id: String) {
        if self.plan.target().is_none() {
            return self.trigger_id_drawn(now, id);
        }
        let Stage::DrawingAssigner(draws) = &self.stage else {
            return;
        };
        let mut draws = draws.clone();
        draws.drawn += 1;
        let sizes = self.election().sizes_won(&id);
        let best_so_far = draws.best.as_ref().map_or(0, |(_, sizes)| *sizes);
        if sizes > best_so_far {
            let replaced = draws.best.replace((id, sizes));
            self.own.unused.extend(replaced.map(|(id, _)| id));
        } else {
            self.own.unused.push(id);
        }
        let took = now.saturating_sub(draws.since);
        let needed = if took < HandoverLimits::DRAW {
            TABLE_SIZES
        } else {
            ACCEPTED_SIZES
        };
        match &draws.best {
            Some((id, sizes)) if *sizes >= needed => {
                self.ours.push(id.clone());
                self.own.choose(OwnMember::Assigner, id.clone());
                self.enter(Stage::Parking(Polling::new(now, HandoverLimits::PARK)));
            }
            _ if took >= HandoverLimits::LONGEST_DRAW => {
                let drawn = draws.drawn;
                self.own.unused.extend(draws.best.map(|(id, _)| id));
                self.abandon(now, AbandonReason::NoWinningId { draws: drawn });
            }
            _ => self.enter(Stage::DrawingAssigner(draws)),
        }
    }

    pub(super) fn lift_barrier(&self) -> Need {
        Need::Request(CoordinatorRequest::Leave {
            members: vec![LeavingMember {
                member_id: self.own.id(OwnMember::Scout).to_owned(),
                instance: None,
            }],
            reason: "rebalancer: the join phase may end",
        })
    }

    /// The scout has left, or its removal failed. If the response was lost, the JoinGroup response
    /// of the assigner shows whether the scout has left.
    pub(super) fn barrier_lifted(
        &mut self,
        now: Duration,
        results: Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError>,
    ) {
        match results {
            Ok(_) => self.own.forget(OwnMember::Scout),
            // The id is kept, to be released again at the end.
            Err(error) if error.kind == CoordinatorErrorKind::Lost => {}
            Err(error) => return self.abandon(now, AbandonReason::refused(&error)),
        }
        let until = now + HandoverLimits::LEADERSHIP;
        self.enter(Stage::AwaitingLeadership { until });
        self.take_leadership(now);
    }

    pub(super) fn assigner_joined(
        &mut self,
        now: Duration,
        joined: Result<JoinedGroup, CoordinatorError>,
    ) {
        match self.stage {
            Stage::Rejoining { next, .. } => self.rejoined(now, next, joined),
            // The response may arrive before that of the removal, which is handled first.
            Stage::LiftingBarrier => self.joined = Some(joined),
            Stage::Removing => {
                self.postponed.get_or_insert(ended_early(&joined));
                self.joined = Some(joined);
            }
            Stage::AwaitingLeadership { .. } => {
                self.joined = Some(joined);
                self.take_leadership(now);
            }
            // The scout's session has expired. The assigner must answer as the leader, but the
            // removed members are still waited for.
            Stage::AwaitingReturn(_) => {
                self.postponed.get_or_insert(ended_early(&joined));
                self.joined = Some(joined);
                self.take_leadership(now);
            }
            Stage::Parking(_)
            | Stage::ReleasingIds
            | Stage::Holding { .. }
            | Stage::CheckingBarrier
            | Stage::RenewingBarrier { .. } => self.abandon(now, ended_early(&joined)),
            Stage::Confirming { .. }
            | Stage::DrawingScout { .. }
            | Stage::Probing { .. }
            | Stage::SyncingScout { .. }
            | Stage::SettlingProbe(_)
            | Stage::DrawingAssigner(_)
            | Stage::Syncing(_)
            | Stage::Resting { .. }
            | Stage::AwaitingRejoins(_)
            | Stage::Verifying(_)
            | Stage::Lingering { .. }
            | Stage::Leaving(_)
            | Stage::Departing(_)
            | Stage::Done => {}
        }
    }

    pub(super) fn take_leadership(&mut self, now: Duration) {
        let Some(joined) = self.joined.take() else {
            return;
        };
        match joined {
            Ok(joined) => self.lead(now, joined, Phase::Restore),
            Err(error) if is_membership_lost(error.kind) => {
                self.membership_lost(now, OwnMember::Assigner, &error);
            }
            Err(error) => self.abandon(now, AbandonReason::refused(&error)),
        }
    }

    pub(super) fn leadership_missed(&mut self, now: Duration) {
        let limit = HandoverLimits::LEADERSHIP;
        self.abandon(
            now,
            AbandonReason::NotSettled {
                awaited: "the end of the join phase",
                limit,
            },
        );
    }
}

/// The reason if the join phase ends although the scout has not rejoined.
fn ended_early(joined: &Result<JoinedGroup, CoordinatorError>) -> AbandonReason {
    match joined {
        Ok(_) => AbandonReason::NotParked {
            seen: "the join phase ended early".into(),
        },
        Err(error) => AbandonReason::refused(error),
    }
}
