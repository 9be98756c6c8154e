//! The stages of a hand-over, for people.

use std::fmt;

/// The activity of a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandoverStage {
    /// The group is read again, to confirm that nothing has changed.
    Confirming,
    /// The scout joins, which measures a rebalance.
    Probing,
    /// The leader is removed while the join phase is held open, and the assigner is elected.
    Electing,
    /// The members that rejoin are removed while the join phase is held open, and awaited.
    Rejoining,
    /// The owners are restored, before anything moves.
    Restoring,
    /// The members give up the partitions that move.
    Revoking,
    /// The members get the target.
    Assigning,
    /// The group is read, to verify the target.
    Verifying,
    /// Our members leave.
    Leaving,
    /// The group's own assignor deals the partitions, after a rejoin.
    Dealing,
}

impl fmt::Display for HandoverStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Confirming => "confirming that the group is at rest",
            Self::Probing => "measuring a rebalance",
            Self::Electing => "taking the lead of the group",
            Self::Rejoining => "removing the members that rejoin, and waiting for their return",
            Self::Restoring => "restoring the owners of all partitions",
            Self::Revoking => "revoking the partitions that move",
            Self::Assigning => "assigning the partitions that move",
            Self::Verifying => "verifying the assignment",
            Self::Leaving => "leaving the group",
            Self::Dealing => "waiting until the group has dealt its partitions",
        })
    }
}
