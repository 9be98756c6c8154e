//! The algorithm that `sticky` and `cooperative-sticky` of the Java client share
//! (`AbstractStickyAssignor`).
//!
//! | members | module |
//! |---|---|
//! | all subscribe to the same topics | [`constrained`]: quotas, linear in the number of partitions |
//! | subscriptions differ | [`general`]: assigns unowned partitions, then moves partitions while this balances the counts |
//!
//! A member without topics counts as a subscriber to the same topics as the others if it comes
//! before them in the iteration order of the leader's hash table, and then gets a member's share of
//! the partitions (`allSubscriptionsEqual` takes the first topics that it finds as the reference).
//!
//! Racks (KIP-881) are considered: a member does not keep a partition without a replica in its
//! rack, and unowned partitions go to members in the racks of their replicas first, see
//! [`RackRule`].
//!
//! Assumes that all members are of the same generation, as in a settled group.

mod constrained;
mod general;
mod movements;

use crate::{Assignment, ClientFamily, Member, RackRule, Subscription, Topics, java_hash, order};

/// Computes the target assignment.
pub(crate) fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let mut kept = order::still_wanted(topics, members, previous);
    let racks = RackRule::new(ClientFamily::Java, topics, members);
    let dropped = racks
        .as_ref()
        .is_some_and(|racks| racks.drop_mismatches(&mut kept));
    match common_subscription(members) {
        Some(subscription) => {
            constrained::assign(topics, members, subscription, racks.as_ref(), kept)
        }
        None => general::assign(topics, members, previous, racks.as_ref(), (kept, dropped)),
    }
}

/// The subscription that Java takes for that of all members. `None` if subscriptions differ.
fn common_subscription(members: &[Member]) -> Option<&Subscription> {
    let has_topics = |member: &&Member| !member.subscription.topics().is_empty();
    let mut with_topics = members.iter().filter(has_topics);
    let Some(first) = with_topics.next() else {
        return members.first().map(|member| &member.subscription);
    };
    let alike = with_topics.all(|member| member.subscription == first.subscription);
    // Members without topics must come before all others.
    let empty_first = || {
        let order = java_hash::iteration_order(members);
        let mut in_order = order.iter().map(|index| &members[*index]);
        in_order.by_ref().find(has_topics);
        in_order.all(|member| has_topics(&member))
    };
    (alike && (members.iter().all(|member| has_topics(&member)) || empty_first()))
        .then_some(&first.subscription)
}
