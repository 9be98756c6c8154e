//! Performs the steps of the core's hand-over over the coordinator of a group.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use rebalancer_core::handover::{
    CoordinatorRequest, CoordinatorResponse, Handover, HandoverEvent, HandoverLimits, HandoverPlan,
    HandoverReport, HandoverStage, HandoverStep,
};
use rebalancer_core::ports::{Clock, GroupCoordinator};

use crate::stop::Stop;

/// The longest wait for a response. A hand-over that waits for nothing else asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Executes the plan of a hand-over, and returns once our members have left the group.
///
/// The only heartbeats of our members are those that the hand-over asks for. If the process hangs,
/// the members expire and the group goes on without them. Stages are reported to `entered` before
/// their first request, so that a stop that it requests comes before it. A stop ends the hand-over
/// in a settled group.
///
/// The times of the plan are those of [`Clock::elapsed`].
pub async fn hand_over(
    plan: HandoverPlan,
    limits: HandoverLimits,
    coordinator: &dyn GroupCoordinator,
    clock: &dyn Clock,
    stop: &Stop,
    mut entered: impl FnMut(HandoverStage),
) -> HandoverReport {
    let mut handover = Handover::new(plan, limits, clock.elapsed());
    let mut in_flight: FuturesUnordered<BoxFuture<'_, CoordinatorResponse>> =
        FuturesUnordered::new();
    let mut stopped = false;
    let mut stage = None;
    loop {
        let current = handover.stage();
        if stage.replace(current) != Some(current) {
            entered(current);
        }
        let now = clock.elapsed();
        if !stopped && let Some(cause) = stop.requested() {
            stopped = true;
            handover.handle(now, HandoverEvent::Stop(cause));
        }
        let step = handover.step(now);
        let until = match step {
            HandoverStep::Done => return handover.report(),
            HandoverStep::Send(request) => {
                in_flight.push(Box::pin(perform(coordinator, request)));
                continue;
            }
            HandoverStep::WaitUntil(until) => until,
        };
        let wait = until.saturating_sub(now).min(LONGEST_WAIT);
        let event = tokio::select! {
            biased;
            cause = stop.wait(), if !stopped => {
                stopped = true;
                Some(HandoverEvent::Stop(cause))
            }
            Some(response) = in_flight.next() => Some(HandoverEvent::Response(response)),
            () = clock.sleep(wait) => None,
        };
        if let Some(event) = event {
            handover.handle(clock.elapsed(), event);
        }
    }
}

async fn perform(
    coordinator: &dyn GroupCoordinator,
    request: CoordinatorRequest,
) -> CoordinatorResponse {
    match request {
        CoordinatorRequest::Describe => {
            CoordinatorResponse::Described(coordinator.describe().await)
        }
        CoordinatorRequest::DrawMemberId(request) => {
            CoordinatorResponse::Drawn(request.own, coordinator.draw_member_id(&request).await)
        }
        CoordinatorRequest::Join(request) => {
            CoordinatorResponse::Joined(request.own, coordinator.join(&request).await)
        }
        CoordinatorRequest::Sync(request) => {
            CoordinatorResponse::Synced(request.own, coordinator.sync(&request).await)
        }
        CoordinatorRequest::Heartbeat {
            own,
            member_id,
            generation,
        } => {
            let result = coordinator.heartbeat(own, &member_id, generation).await;
            CoordinatorResponse::Heartbeat(own, result)
        }
        CoordinatorRequest::Leave { members, reason } => {
            CoordinatorResponse::Left(coordinator.leave(&members, reason).await)
        }
    }
}
