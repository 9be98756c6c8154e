//! `sticky` of the Java client.
//!
//! Balances the number of partitions per member first, and moves as few partitions as this allows.
//! Rebalances are eager: all members revoke all partitions and get the new assignment at once, so
//! that the group settles in one rebalance.
//! Source: KIP-54, and KIP-341 for members without a previous assignment.

use crate::{Assignment, Member, Topics, abstract_sticky};

/// Computes the owners after one rebalance.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    abstract_sticky::assign(topics, members, previous)
}
