//! The steps that a hand-over asks of the caller, and the events that the caller reports.

use std::time::Duration;

use crate::execution::StopCause;
use crate::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, JoinRequest, JoinedGroup,
    LeavingMember, OwnMember, SyncRequest, TopicPartition,
};

/// The next action of the caller.
#[derive(Debug, Clone, PartialEq)]
pub enum HandoverStep {
    /// Send this request, and report the response as an event. Ask for the next step meanwhile.
    Send(CoordinatorRequest),
    /// Wait for a response or until this time, then ask for the next step.
    WaitUntil(Duration),
    /// The hand-over is over. Requests that are still in flight can be dropped.
    Done,
}

/// A request to the coordinator of the group; see
/// [`GroupCoordinator`](crate::ports::GroupCoordinator).
#[derive(Debug, Clone, PartialEq)]
pub enum CoordinatorRequest {
    /// Read the group.
    Describe,
    /// Request a member id.
    DrawMemberId(JoinRequest),
    /// Join the group.
    Join(JoinRequest),
    /// Sync with the group.
    Sync(SyncRequest),
    /// Send a heartbeat.
    Heartbeat {
        /// The member.
        own: OwnMember,
        /// Its member id.
        member_id: String,
        /// Its generation.
        generation: i32,
    },
    /// Remove members and pending ids.
    Leave {
        /// The members and ids.
        members: Vec<LeavingMember>,
        /// The reason, for the log of the coordinator.
        reason: &'static str,
    },
}

/// A connection to the coordinator. At most one request is in flight on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Connection {
    /// For requests that are not of a member.
    Control,
    /// For requests of an own member.
    Own(OwnMember),
}

impl CoordinatorRequest {
    /// The connection of the request.
    #[must_use]
    pub fn connection(&self) -> Connection {
        match self {
            Self::Describe | Self::Leave { .. } => Connection::Control,
            Self::DrawMemberId(request) | Self::Join(request) => Connection::Own(request.own),
            Self::Sync(request) => Connection::Own(request.own),
            Self::Heartbeat { own, .. } => Connection::Own(*own),
        }
    }
}

/// A response of the coordinator to a [`CoordinatorRequest`].
#[derive(Debug, Clone, PartialEq)]
pub enum CoordinatorResponse {
    /// The group was read.
    Described(Result<DescribedGroup, CoordinatorError>),
    /// A member id was requested.
    Drawn(OwnMember, Result<String, CoordinatorError>),
    /// The join phase ended.
    Joined(OwnMember, Result<JoinedGroup, CoordinatorError>),
    /// The member received its assignment.
    Synced(OwnMember, Result<Vec<TopicPartition>, CoordinatorError>),
    /// The heartbeat was answered.
    Heartbeat(OwnMember, Result<(), CoordinatorError>),
    /// Members were removed, with the result for each.
    Left(Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError>),
}

impl CoordinatorResponse {
    /// The connection of the response.
    #[must_use]
    pub fn connection(&self) -> Connection {
        match self {
            Self::Described(_) | Self::Left(_) => Connection::Control,
            Self::Drawn(own, _)
            | Self::Joined(own, _)
            | Self::Synced(own, _)
            | Self::Heartbeat(own, _) => Connection::Own(*own),
        }
    }
}

/// A report of the caller.
#[derive(Debug, Clone, PartialEq)]
pub enum HandoverEvent {
    /// A response arrived.
    Response(CoordinatorResponse),
    /// A stop was requested.
    Stop(StopCause),
}
