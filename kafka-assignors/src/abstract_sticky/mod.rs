//! The algorithm that `sticky` and `cooperative-sticky` of the Java client share
//! (`AbstractStickyAssignor`).
//!
//! | when | then |
//! |---|---|
//! | all members subscribe alike | [`constrained`]: quotas, linear in the partitions |
//! | otherwise | [`general`]: fill up, then move partitions while that evens the counts out |
//!
//! All members are taken to be of one generation, as in a group that was settled; racks (KIP-881) are
//! left out.

mod constrained;
mod general;
mod movements;

use super::order;
use crate::{Assignment, Member, Topics, member};

/// The target of a rebalance.
pub(super) fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let kept = order::still_wanted(topics, members, previous);
    if member::subscribed_alike(members) {
        constrained::assign(topics, members, kept)
    } else {
        general::assign(topics, members, previous, kept)
    }
}
