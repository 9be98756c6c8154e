//! The coordinator port of a simulated world.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use rebalancer_core::handover::{CoordinatorRequest, CoordinatorResponse};
use rebalancer_core::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, GroupCoordinator, JoinRequest,
    JoinedGroup, LeavingMember, OwnMember, SyncRequest, TopicPartition,
};

use crate::kafka::RequestFault;
use crate::shared::SharedState;

/// The coordinator of a [`SimWorld`](crate::SimWorld)'s group, for one run. A request and its
/// response take 5 ms each.
///
/// Hand-overs to classic groups with `sticky`, `cooperative-sticky` or (of Java consumers) `range`
/// are modelled. In groups of the consumer protocol (KIP-848), members are removed at once, and
/// return. Other groups can be read.
#[derive(Clone)]
pub struct SimCoordinator {
    state: SharedState,
    run: usize,
    faulty: bool,
    /// The run whose requests are traced; `None` if they are not.
    traced: Option<usize>,
}

impl fmt::Debug for SimCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimCoordinator")
            .field("run", &self.run)
            .field("faulty", &self.faulty)
            .finish_non_exhaustive()
    }
}

impl SimCoordinator {
    /// The port of a new run. `faulty`: its requests have the faults of the world's plan. `traced`:
    /// they leave a trace of the run with this number.
    pub(crate) fn new(state: SharedState, faulty: bool, traced: Option<usize>) -> Self {
        let run = state.lock().new_coordinator();
        Self {
            state,
            run,
            faulty,
            traced,
        }
    }

    /// Sends a request, and awaits the response.
    async fn perform(&self, request: CoordinatorRequest) -> CoordinatorResponse {
        Call {
            coordinator: self,
            unsent: Some(request),
            ticket: None,
        }
        .await
    }
}

/// A request in flight. If it is dropped, the request still takes effect.
struct Call<'a> {
    coordinator: &'a SimCoordinator,
    unsent: Option<CoordinatorRequest>,
    ticket: Option<u64>,
}

impl Future for Call<'_> {
    type Output = CoordinatorResponse;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CoordinatorResponse> {
        let coordinator = self.coordinator;
        let mut state = coordinator.state.lock();
        if let Some(request) = self.unsent.take() {
            let fault = if coordinator.faulty {
                state.coordinator_fault()
            } else {
                RequestFault::None
            };
            if let Some(run) = coordinator.traced
                && request != CoordinatorRequest::Describe
            {
                state.trace_group_request(run);
            }
            let waker = context.waker().clone();
            let ticket = state.send_to_coordinator(coordinator.run, request, fault, waker);
            self.ticket = Some(ticket);
        }
        let response = self
            .ticket
            .and_then(|ticket| state.coordinator_response(ticket, context.waker()));
        match response {
            Some(response) => {
                self.ticket = None;
                Poll::Ready(response)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.coordinator.state.lock().abandon_request(ticket);
        }
    }
}

/// The error for a response to another request, which does not happen.
fn mismatched(response: &CoordinatorResponse) -> CoordinatorError {
    CoordinatorError::new(
        CoordinatorErrorKind::Other,
        format!("the response is for another request: {response:?}"),
    )
}

#[async_trait]
impl GroupCoordinator for SimCoordinator {
    async fn describe(&self) -> Result<DescribedGroup, CoordinatorError> {
        let response = self.perform(CoordinatorRequest::Describe).await;
        let CoordinatorResponse::Described(result) = response else {
            return Err(mismatched(&response));
        };
        result
    }

    async fn draw_member_id(&self, request: &JoinRequest) -> Result<String, CoordinatorError> {
        let request = CoordinatorRequest::DrawMemberId(request.clone());
        let response = self.perform(request).await;
        let CoordinatorResponse::Drawn(_, result) = response else {
            return Err(mismatched(&response));
        };
        result
    }

    async fn join(&self, request: &JoinRequest) -> Result<JoinedGroup, CoordinatorError> {
        let request = CoordinatorRequest::Join(request.clone());
        let response = self.perform(request).await;
        let CoordinatorResponse::Joined(_, result) = response else {
            return Err(mismatched(&response));
        };
        result
    }

    async fn sync(&self, request: &SyncRequest) -> Result<Vec<TopicPartition>, CoordinatorError> {
        let request = CoordinatorRequest::Sync(request.clone());
        let response = self.perform(request).await;
        let CoordinatorResponse::Synced(_, result) = response else {
            return Err(mismatched(&response));
        };
        result
    }

    async fn heartbeat(
        &self,
        own: OwnMember,
        member_id: &str,
        generation: i32,
    ) -> Result<(), CoordinatorError> {
        let request = CoordinatorRequest::Heartbeat {
            own,
            member_id: member_id.to_owned(),
            generation,
        };
        let response = self.perform(request).await;
        let CoordinatorResponse::Heartbeat(_, result) = response else {
            return Err(mismatched(&response));
        };
        result
    }

    async fn leave(
        &self,
        members: &[LeavingMember],
        _reason: &str,
    ) -> Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError> {
        let request = CoordinatorRequest::Leave {
            members: members.to_vec(),
            reason: "simulated",
        };
        let response = self.perform(request).await;
        let CoordinatorResponse::Left(result) = response else {
            return Err(mismatched(&response));
        };
        result
    }
}
