//! `cooperative-sticky` of librdkafka.
//!
//! The target is the assignment of [`librdkafka_sticky`], and a partition changes its owner in two
//! rebalances (KIP-429).

use crate::{Assignment, Member, Topics, librdkafka_sticky};

/// Computes the owners after one rebalance.
///
/// A partition that another member still owns gets no owner: that member revokes it and joins
/// again, and the next rebalance, which starts from the owners at that time, assigns it. The group
/// has settled when a rebalance leaves no such partition.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let target = librdkafka_sticky::assign(topics, members, previous);
    target
        .iter()
        .map(|(partition, owner)| {
            let held = previous
                .owner(partition)
                .filter(|held| held.get() < members.len());
            owner.filter(|owner| held.is_none_or(|held| held == *owner))
        })
        .collect()
}
