//! `cooperative-sticky` of librdkafka: where it is heading is
//! [`librdkafka_sticky`], but a partition changes its owner in two rebalances (KIP-429).

use crate::{Assignment, Member, Topics};

use super::librdkafka_sticky;

/// The owners after one rebalance. A partition that another member still has is left without an
/// owner: whoever has it revokes it and joins again, and the next rebalance gives it out. The
/// group has settled when none is left so.
///
/// The next rebalance computes everything anew, from what is owned by then. The previous owners
/// are places in `members`.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let target = librdkafka_sticky::assign(topics, members, previous);
    let owners = target.owners().enumerate();
    owners
        .map(|(partition, owner)| {
            let held = previous
                .owner(partition)
                .filter(|held| *held < members.len());
            owner.filter(|owner| held.is_none_or(|held| held == *owner))
        })
        .collect()
}
