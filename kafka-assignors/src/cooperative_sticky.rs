//! `cooperative-sticky` of the Java client.
//!
//! The target is the assignment of [`sticky`](mod@crate::sticky), reached in two rebalances.
//! Members keep consuming the partitions that stay with them. In the first rebalance a partition
//! that changes its owner gets no owner, so that the old one revokes it and joins again; the second
//! rebalance assigns the unowned partitions. A member revokes partitions of topics that it no
//! longer subscribes to before it joins. Source: KIP-429.

use crate::{Assignment, Member, Topics, abstract_sticky, order};

/// Computes the owners after one rebalance. Partitions that change their owner have none.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let previous = order::still_wanted(topics, members, previous);
    let target = abstract_sticky::assign(topics, members, &previous);
    let owners = previous.owners().zip(target.owners());
    owners
        .map(|(old, new)| new.filter(|_| old.is_none() || old == new))
        .collect()
}
