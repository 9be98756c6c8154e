//! The algorithm that `sticky` and `cooperative-sticky` of the Java client share
//! (`AbstractStickyAssignor`).
//!
//! | members | module |
//! |---|---|
//! | all subscribe to the same topics | [`constrained`]: quotas, linear in the number of partitions |
//! | subscriptions differ | [`general`]: assigns unowned partitions, then moves partitions while this balances the counts |
//!
//! Assumes that all members are of the same generation, as in a settled group. Racks (KIP-881) are
//! not implemented.

mod constrained;
mod general;
mod movements;

use crate::{Assignment, Member, Topics, member, order};

/// Computes the target assignment.
pub(crate) fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let kept = order::still_wanted(topics, members, previous);
    if member::subscribed_alike(members) {
        constrained::assign(topics, members, kept)
    } else {
        general::assign(topics, members, previous, kept)
    }
}
