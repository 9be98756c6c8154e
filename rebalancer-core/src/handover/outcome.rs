//! The outcome of a hand-over.

use std::fmt;
use std::time::Duration;

use crate::execution::StopCause;
use crate::model::Seconds;
use crate::ports::CoordinatorError;

/// The outcome of a hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandoverOutcome {
    /// The group has the target, and kept it when our members left.
    Assigned,
    /// The target was handed out, but these partitions had another owner when our members had left.
    NotKept {
        /// The number of partitions.
        partitions: usize,
        /// The name of one of them.
        example: String,
    },
    /// The members of a rejoin were removed and are back, and the group has dealt its partitions.
    Rejoined,
    /// The hand-over was abandoned.
    Abandoned(AbandonReason),
}

/// Why a hand-over was abandoned.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AbandonReason {
    /// The group is not the one that the plan was made for.
    GroupChanged {
        /// The difference.
        difference: String,
    },
    /// The members took too long to rejoin in the probe.
    SlowRejoin {
        /// The duration of the probe's rebalance, or the time waited for it.
        took: Duration,
        /// The limit.
        limit: Duration,
    },
    /// The group assigned partitions to the scout.
    ScoutGotPartitions {
        /// The number of partitions.
        partitions: usize,
    },
    /// The election would need too many removals.
    TooManyBlockers {
        /// The number of members ahead in the coordinator's table, including the leader.
        removals: usize,
    },
    /// No member id was found that wins the election.
    NoWinningId {
        /// The number of ids that were drawn.
        draws: usize,
    },
    /// No member id was found that makes a follower.
    NoFollowerId {
        /// The number of ids that were drawn.
        draws: usize,
    },
    /// The coordinator elected another leader.
    ElectionLost,
    /// The coordinator did not list the assigner, or the join phase did not stay open.
    NotParked {
        /// The observation.
        seen: String,
    },
    /// A removed member did not rejoin in time.
    NotBack {
        /// The number of members.
        members: usize,
        /// The time limit.
        limit: Duration,
    },
    /// The group did not reach the expected state in time.
    NotSettled {
        /// The awaited change.
        awaited: &'static str,
        /// The time limit.
        limit: Duration,
    },
    /// The broker does not allow a session timeout that is short enough.
    SessionTimeout,
    /// Our member lost its membership.
    MembershipLost {
        /// The message of the coordinator.
        message: String,
    },
    /// The coordinator refused a request, or its response was lost.
    Refused {
        /// The message of the coordinator.
        message: String,
    },
    /// A stop was requested.
    Stopped(StopCause),
    /// The hand-over took longer than its limit.
    TimedOut {
        /// The limit.
        limit: Duration,
    },
}

impl AbandonReason {
    pub(crate) fn changed(difference: impl Into<String>) -> Self {
        Self::GroupChanged {
            difference: difference.into(),
        }
    }

    pub(crate) fn refused(error: &CoordinatorError) -> Self {
        Self::Refused {
            message: error.message.clone(),
        }
    }
}

impl fmt::Display for AbandonReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |duration: &Duration| format!("{:.1} s", duration.as_secs_f64());
        match self {
            Self::GroupChanged { difference } => write!(f, "the group has changed: {difference}"),
            Self::SlowRejoin { took, limit } => write!(
                f,
                "the members took {} to rejoin, more than {}: every rebalance takes as long; reduce \
                 the time between polls (`max.poll.records`, the work per batch)",
                seconds(took),
                seconds(limit)
            ),
            Self::ScoutGotPartitions { partitions } => write!(
                f,
                "the group assigned {partitions} partitions to a member without topics: its assignor \
                 is not one that a hand-over can rely on"
            ),
            Self::TooManyBlockers { removals } => write!(
                f,
                "the election of a leader would need the removal of {removals} members: their ids are \
                 first in the table of the coordinator; their next restart changes that"
            ),
            Self::NoWinningId { draws } => write!(
                f,
                "none of {draws} member ids would be elected leader by the coordinator"
            ),
            Self::NoFollowerId { draws } => write!(
                f,
                "with each of {draws} member ids, a member without topics could lead, or get partitions \
                 from a Java client"
            ),
            Self::ElectionLost => f.write_str(
                "the coordinator elected another leader: it orders members in a way that is not known \
                 (Kafka built for Scala 2.12, or another product)",
            ),
            Self::NotParked { seen } => {
                write!(f, "the rebalance did not stay open for the removal: {seen}")
            }
            Self::NotBack { members, limit } => write!(
                f,
                "{members} of the removed members did not rejoin within {}",
                seconds(limit)
            ),
            Self::NotSettled { awaited, limit } => {
                write!(f, "{awaited} did not happen within {}", seconds(limit))
            }
            Self::SessionTimeout => f.write_str(
                "the broker does not allow a short session timeout \
                 (`group.min.session.timeout.ms`), so the group would stand still for too long if \
                 this process died",
            ),
            Self::MembershipLost { message } | Self::Refused { message } => f.write_str(message),
            Self::Stopped(cause) => cause.fmt(f),
            Self::TimedOut { limit } => {
                write!(f, "it was not finished within {}", seconds(limit))
            }
        }
    }
}

/// The report of a hand-over.
#[derive(Debug, Clone, PartialEq)]
pub struct HandoverReport {
    /// The outcome.
    pub outcome: HandoverOutcome,
    /// The number of rebalances that the hand-over caused.
    pub rebalances: u32,
    /// The duration of the probe's rebalance, in seconds; `None` if it did not finish.
    pub probe_seconds: Option<Seconds>,
    /// The duration of the hand-over, in seconds.
    pub seconds: Seconds,
    /// The number of members that were removed and asked to rejoin.
    pub removed: usize,
    /// The number of removed members that were seen again, under new ids.
    pub returned: usize,
    /// The number of partitions that have another owner than before, as far as it is known.
    pub moved: Option<usize>,
    /// In a group of KIP-848: the time from the removal until all removed members were seen in the
    /// group again. Until then two members may have processed a partition. `None` if a member was
    /// not seen again, or in a classic group, in which no two members do.
    pub double_processing: Option<Seconds>,
    /// Whether the group was seen at rest, without members of ours, at the end.
    pub settled: bool,
}
