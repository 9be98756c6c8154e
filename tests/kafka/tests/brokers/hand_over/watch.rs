//! A coordinator whose requests a test observes and holds up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rebalancer_core::handover::HandoverStage;
use rebalancer_core::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, GroupCoordinator, GroupState,
    JoinRequest, JoinedGroup, LeavingMember, OwnMember, SyncRequest, TopicPartition,
};
use rebalancer_kafka::KafkaCoordinator;
use tokio::sync::{mpsc, watch};

use super::our_members;

/// A place of a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A stage is entered.
    In(HandoverStage),
    /// The coordinator has the scout's JoinGroup request, which waits for the members.
    ScoutParked,
    /// The scout has joined, and has not synced.
    ScoutJoined,
    /// The assigner waits in JoinGroup, the scout is the barrier, and the leader is still a member.
    AssignerParked,
    /// The leader was removed, and the barrier stands.
    Removed,
}

/// The requests of a hand-over, as far as a test observes or holds them up.
#[derive(Default)]
pub(super) struct Watch {
    leader: Mutex<String>,
    gate: Option<Gate>,
}

/// A place where a hand-over waits, once.
struct Gate {
    place: Place,
    /// Whether the place is still to be reached.
    is_ahead: AtomicBool,
    /// Whether the next request waits.
    is_closed: AtomicBool,
    reached: mpsc::UnboundedSender<()>,
    open: watch::Receiver<bool>,
}

impl Watch {
    /// A watch that holds up the requests, or the response to one, from a place on.
    pub(super) fn gated(
        place: Place,
        reached: mpsc::UnboundedSender<()>,
        open: watch::Receiver<bool>,
    ) -> Self {
        let gate = Gate {
            place,
            is_ahead: AtomicBool::new(true),
            is_closed: AtomicBool::new(false),
            reached,
            open,
        };
        Self {
            gate: Some(gate),
            ..Self::default()
        }
    }

    /// Enters a stage, which has the next request wait if it is the place.
    pub(super) fn enter(&self, stage: HandoverStage) {
        if let Some(gate) = self.gate_at(Place::In(stage)) {
            let is_first = gate.is_ahead.swap(false, Ordering::Relaxed);
            gate.is_closed.store(is_first, Ordering::Relaxed);
        }
    }

    /// The member id of the leader in the scout's response; empty before.
    pub(super) fn leader(&self) -> String {
        let leader = self.leader.lock();
        leader.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn gate_at(&self, place: Place) -> Option<&Gate> {
        self.gate.as_ref().filter(|gate| gate.place == place)
    }

    /// Waits if this is the place.
    async fn reach(&self, place: Place) {
        if let Some(gate) = self.gate_at(place)
            && gate.is_ahead.swap(false, Ordering::Relaxed)
        {
            gate.hold_up().await;
        }
    }

    async fn pass(&self) {
        if let Some(gate) = &self.gate
            && gate.is_closed.swap(false, Ordering::Relaxed)
        {
            gate.hold_up().await;
        }
    }
}

impl Gate {
    async fn hold_up(&self) {
        self.reached.send(()).unwrap();
        self.open.clone().wait_for(|open| *open).await.unwrap();
    }
}

/// The coordinator with a watch.
pub(super) struct Watched<'a> {
    pub(super) coordinator: KafkaCoordinator,
    pub(super) watch: &'a Watch,
}

impl Watched<'_> {
    /// Waits until the coordinator lists a member of ours.
    async fn listed(&self) {
        loop {
            let described = self.coordinator.describe().await;
            if described.is_ok_and(|described| our_members(&described) > 0) {
                return;
            }
        }
    }
}

#[async_trait]
impl GroupCoordinator for Watched<'_> {
    async fn describe(&self) -> Result<DescribedGroup, CoordinatorError> {
        self.watch.pass().await;
        let described = self.coordinator.describe().await;
        if let Ok(described) = &described
            && matches!(described.state, GroupState::Rebalancing(_))
            && our_members(described) == 2
        {
            self.watch.reach(Place::AssignerParked).await;
        }
        described
    }

    async fn draw_member_id(&self, request: &JoinRequest) -> Result<String, CoordinatorError> {
        self.watch.pass().await;
        self.coordinator.draw_member_id(request).await
    }

    async fn join(&self, request: &JoinRequest) -> Result<JoinedGroup, CoordinatorError> {
        self.watch.pass().await;
        let mut joining = self.coordinator.join(request);
        if self.watch.gate_at(Place::ScoutParked).is_some() {
            // All members may have rejoined before the scout was seen.
            let joined = tokio::select! {
                joined = &mut joining => Some(joined),
                () = self.listed() => None,
            };
            self.watch.reach(Place::ScoutParked).await;
            if let Some(joined) = joined {
                return joined;
            }
        }
        let joined = joining.await;
        if let (OwnMember::Scout, Ok(joined)) = (request.own, &joined) {
            let leader = self.watch.leader.lock();
            leader.unwrap().clone_from(&joined.leader);
            self.watch.reach(Place::ScoutJoined).await;
        }
        joined
    }

    async fn sync(&self, request: &SyncRequest) -> Result<Vec<TopicPartition>, CoordinatorError> {
        self.watch.pass().await;
        self.coordinator.sync(request).await
    }

    async fn heartbeat(
        &self,
        own: OwnMember,
        member_id: &str,
        generation: i32,
    ) -> Result<(), CoordinatorError> {
        self.coordinator.heartbeat(own, member_id, generation).await
    }

    async fn leave(
        &self,
        members: &[LeavingMember],
        reason: &str,
    ) -> Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError> {
        self.watch.pass().await;
        let left = self.coordinator.leave(members, reason).await;
        if reason.contains("election") {
            self.watch.reach(Place::Removed).await;
        }
        left
    }
}
