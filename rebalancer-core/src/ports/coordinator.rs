//! The coordinator of a consumer group: reads the group, joins a classic one, removes members.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::DescribedGroup;

/// A member that a run adds to the group for the duration of a hand-over. Each has a connection of
/// its own, because a parked JoinGroup blocks its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnMember {
    /// Measures a rebalance, and later holds the join phase open.
    Scout,
    /// Becomes the leader and hands out the assignment; or, if members rejoin, only begins the
    /// rebalance in which they do.
    Assigner,
}

/// A partition of a topic, by name and number.
pub type TopicPartition = (String, u32);

/// A JoinGroup request of an own member: subscribed to no topic, without user data and without an
/// instance id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The member that joins, which selects the connection.
    pub own: OwnMember,
    /// Its member id.
    pub member_id: String,
    /// The only protocol that the member supports: the assignor of the group.
    pub assignor: String,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// The rebalance timeout.
    pub rebalance_timeout: Duration,
}

/// A response to JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedGroup {
    /// The generation of the group.
    pub generation: i32,
    /// The member id of the leader; empty if the group has none.
    pub leader: String,
    /// The assignor that the members agreed on.
    pub assignor: String,
    /// All members, if the requester is the leader; otherwise empty.
    pub members: Vec<JoinedMember>,
}

/// A member in the JoinGroup response of the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance: Option<String>,
    /// The subscription; `None` if it cannot be decoded.
    pub subscription: Option<JoinedSubscription>,
}

/// The subscription of a member in a JoinGroup response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JoinedSubscription {
    /// The topics.
    pub topics: Vec<String>,
    /// The partitions that the member claims to own.
    pub owned: Vec<TopicPartition>,
}

/// A SyncGroup request of an own member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// The member that syncs, which selects the connection.
    pub own: OwnMember,
    /// Its member id.
    pub member_id: String,
    /// The generation.
    pub generation: i32,
    /// The assignor of the group.
    pub assignor: String,
    /// The assignment of every member if the sender is the leader, otherwise empty.
    pub assignments: Vec<MemberAssignment>,
    /// Whether each assignment carries the user data of sticky assignors, from which some clients
    /// (sarama) take the previous assignment.
    pub sticky_user_data: bool,
}

/// The partitions of one member in a SyncGroup request. A member without partitions is listed too,
/// because Java clients fail on an assignment of zero bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAssignment {
    /// The member id.
    pub member_id: String,
    /// The partitions, by topic and number, ascending.
    pub partitions: Vec<TopicPartition>,
}

/// A member that a LeaveGroup request removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavingMember {
    /// The member id.
    pub member_id: String,
    /// `group.instance.id` of a static member. With both ids the coordinator does not remove
    /// another member that has taken over the instance.
    pub instance: Option<String>,
}

/// Why the coordinator did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CoordinatorError {
    /// The class of the failure.
    pub kind: CoordinatorErrorKind,
    /// One line for the operator: the request, the group, the failure and the remedy.
    pub message: String,
}

impl CoordinatorError {
    /// An error of this class.
    pub fn new(kind: CoordinatorErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// The class of a coordinator's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CoordinatorErrorKind {
    /// `UNKNOWN_MEMBER_ID`: the group has no such member.
    UnknownMember,
    /// `ILLEGAL_GENERATION`: the group is in another generation.
    IllegalGeneration,
    /// `REBALANCE_IN_PROGRESS`: the group is rebalancing.
    RebalanceInProgress,
    /// `FENCED_INSTANCE_ID`: another member has the instance id.
    FencedInstance,
    /// `INVALID_SESSION_TIMEOUT`: the session timeout is outside the limits of the broker.
    InvalidSessionTimeout,
    /// `GROUP_MAX_SIZE_REACHED`: the group is full.
    GroupFull,
    /// `INCONSISTENT_GROUP_PROTOCOL`: the group uses another protocol.
    InconsistentProtocol,
    /// The group has another coordinator, or the coordinator is not available.
    CoordinatorChanged,
    /// `GROUP_AUTHORIZATION_FAILED`: the right is missing.
    Forbidden,
    /// Another error of the coordinator. The request had no effect.
    Other,
    /// The response was lost (timeout, broken connection). The request may have taken effect.
    Lost,
}

impl fmt::Display for CoordinatorErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownMember => "the group has no such member",
            Self::IllegalGeneration => "the group is in another generation",
            Self::RebalanceInProgress => "the group is rebalancing",
            Self::FencedInstance => "another member has the instance id",
            Self::InvalidSessionTimeout => "the broker does not allow the session timeout",
            Self::GroupFull => "the group is full",
            Self::InconsistentProtocol => "the group uses another protocol",
            Self::CoordinatorChanged => "the coordinator is not available or has changed",
            Self::Forbidden => "not authorized",
            Self::Other => "refused",
            Self::Lost => "no response",
        })
    }
}

/// The coordinator of one consumer group. Only classic groups can be joined; members can be removed
/// from groups of both protocols.
///
/// No method repeats a request whose response was lost, except [`describe`](Self::describe). Every
/// method but [`join`](Self::join) and [`sync`](Self::sync) responds within
/// [`HandoverLimits::REQUEST`](crate::handover::HandoverLimits::REQUEST), and
/// [`heartbeat`](Self::heartbeat) within
/// [`HandoverLimits::HEARTBEAT_RESPONSE`](crate::handover::HandoverLimits::HEARTBEAT_RESPONSE).
/// Requests of different connections may be in flight at once: one of each [`OwnMember`], and one
/// that is not of a member.
#[async_trait]
pub trait GroupCoordinator: Send + Sync {
    /// Reads the state and the members of the group.
    ///
    /// # Errors
    /// If there was no response.
    async fn describe(&self) -> Result<DescribedGroup, CoordinatorError>;

    /// Requests a member id: JoinGroup with an empty member id. The id is pending: until it joins,
    /// is released by [`leave`](Self::leave) or expires, rebalances of the group wait for it.
    ///
    /// # Errors
    /// If the coordinator did not issue an id.
    async fn draw_member_id(&self, request: &JoinRequest) -> Result<String, CoordinatorError>;

    /// Joins the group. The response arrives when the join phase of the rebalance ends.
    ///
    /// # Errors
    /// If the member did not join, was removed, or the response was lost.
    async fn join(&self, request: &JoinRequest) -> Result<JoinedGroup, CoordinatorError>;

    /// Syncs with the group: hands out the assignments as the leader, and returns the member's own.
    /// The response arrives when the leader has synced.
    ///
    /// # Errors
    /// If the member is not in the group, the generation is another one, or the response was lost.
    async fn sync(&self, request: &SyncRequest) -> Result<Vec<TopicPartition>, CoordinatorError>;

    /// Sends a heartbeat of an own member.
    ///
    /// # Errors
    /// If the group is rebalancing or does not have the member.
    async fn heartbeat(
        &self,
        own: OwnMember,
        member_id: &str,
        generation: i32,
    ) -> Result<(), CoordinatorError>;

    /// Removes members and pending ids. Returns the result for each member, in the order of the
    /// request.
    ///
    /// # Errors
    /// If the request failed as a whole.
    async fn leave(
        &self,
        members: &[LeavingMember],
        reason: &str,
    ) -> Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError>;
}
