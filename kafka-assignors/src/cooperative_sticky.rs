//! `cooperative-sticky` of the Java client.
//!
//! The assignment of [`sticky`](super::sticky), reached without stopping the world: members go on with
//! what they keep, and a partition that changes its owner is left without one in the first rebalance,
//! so that the old owner can let go of it. That one joins again, and the second rebalance gives out
//! what is free. Topics that a member no longer subscribes to it lets go of before it joins.
//! Source: KIP-429.

use super::{abstract_sticky, order};
use crate::{Assignment, Member, Topics};

/// One rebalance: partitions that change their owner come out without one.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let previous = order::still_wanted(topics, members, previous);
    let target = abstract_sticky::assign(topics, members, &previous);
    let owners = previous.owners().zip(target.owners());
    owners
        .map(|(old, new)| {
            if old.is_none() || old == new {
                new
            } else {
                None
            }
        })
        .collect()
}
