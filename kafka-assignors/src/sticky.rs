//! `sticky` of the Java client.
//!
//! Balance first, then keep: partitions move only as far as evening out the counts needs it. The
//! algorithm is the one of `abstract_sticky`. Rebalances are eager: everybody
//! gives everything up and gets the new assignment at once, so one rebalance settles it.
//! Source: KIP-54, and KIP-341 for members without a previous assignment.

use super::abstract_sticky;
use crate::{Assignment, Member, Topics};

/// One rebalance.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    abstract_sticky::assign(topics, members, previous)
}
