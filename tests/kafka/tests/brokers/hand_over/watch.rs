//! A coordinator whose requests a test observes and holds up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rebalancer_core::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, GroupCoordinator, JoinRequest,
    JoinedGroup, LeavingMember, OwnMember, SyncRequest, TopicPartition,
};
use rebalancer_kafka::KafkaCoordinator;
use tokio::sync::{mpsc, watch};

/// The requests of a hand-over, as far as a test observes or holds them up.
#[derive(Default)]
pub(super) struct Watch {
    leader: Mutex<String>,
    gate: Option<Gate>,
}

/// A place where a hand-over waits, once.
pub(super) struct Gate {
    /// Whether the response to the removal of members waits.
    at_removal: bool,
    /// Whether the next request waits.
    is_closed: AtomicBool,
    reached: mpsc::UnboundedSender<()>,
    open: watch::Receiver<bool>,
}

impl Watch {
    /// A watch that holds up the response to the removal of members, or the requests from the time
    /// at which [`Watch::close`] is called.
    pub(super) fn gated(
        at_removal: bool,
        reached: mpsc::UnboundedSender<()>,
        open: watch::Receiver<bool>,
    ) -> Self {
        let gate = Gate {
            at_removal,
            is_closed: AtomicBool::new(false),
            reached,
            open,
        };
        Self {
            gate: Some(gate),
            ..Self::default()
        }
    }

    /// Has the next request wait.
    pub(super) fn close(&self) {
        if let Some(gate) = &self.gate {
            gate.is_closed.store(true, Ordering::Relaxed);
        }
    }

    /// The member id of the leader in the scout's response; empty before.
    pub(super) fn leader(&self) -> String {
        let leader = self.leader.lock();
        leader.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn pass(&self) {
        let Some(gate) = &self.gate else {
            return;
        };
        if gate.is_closed.swap(false, Ordering::Relaxed) {
            gate.reached.send(()).unwrap();
            gate.open.clone().wait_for(|open| *open).await.unwrap();
        }
    }
}

/// The coordinator with a watch.
pub(super) struct Watched<'a> {
    pub(super) coordinator: KafkaCoordinator,
    pub(super) watch: &'a Watch,
}

#[async_trait]
impl GroupCoordinator for Watched<'_> {
    async fn describe(&self) -> Result<DescribedGroup, CoordinatorError> {
        self.watch.pass().await;
        self.coordinator.describe().await
    }

    async fn draw_member_id(&self, request: &JoinRequest) -> Result<String, CoordinatorError> {
        self.watch.pass().await;
        self.coordinator.draw_member_id(request).await
    }

    async fn join(&self, request: &JoinRequest) -> Result<JoinedGroup, CoordinatorError> {
        self.watch.pass().await;
        let joined = self.coordinator.join(request).await;
        if let (OwnMember::Scout, Ok(joined)) = (request.own, &joined) {
            let mut leader = self.watch.leader.lock().unwrap();
            leader.clone_from(&joined.leader);
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
        let at_removal = self.watch.gate.as_ref().is_some_and(|gate| gate.at_removal);
        if at_removal && reason.contains("election") {
            self.watch.close();
            self.watch.pass().await;
        }
        left
    }
}
