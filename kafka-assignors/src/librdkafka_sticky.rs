//! The target assignment of librdkafka's `cooperative-sticky`: the general algorithm of KIP-54 with
//! the corrections of KIP-341.
//!
//! librdkafka has no eager `sticky` assignor. Its `cooperative-sticky` reaches this target in two
//! rebalances, see [`librdkafka_cooperative_sticky`](mod@crate::librdkafka_cooperative_sticky).
//!
//! 1. Members keep the partitions that they own and still subscribe to.
//! 2. Each of the other partitions goes to the subscriber with the fewest partitions.
//! 3. Partitions move from their owner to the subscriber with the fewest partitions while the owner
//!    has at least two more: first only those assigned in step 2, then all, until none moves.
//!
//! The lowest member id breaks ties. If all members subscribe to the same topics, the order of the
//! partitions is that of repeatedly removing the lowest partition from the member with the most
//! remaining partitions (the highest id among several); unowned partitions follow in descending
//! order. If subscriptions differ, partitions are sorted by the number of subscribers of their
//! topic, then by name and number.
//!
//! The Java client, since 2.6, uses a shorter algorithm for members with the same subscription: no
//! member keeps more than its share, and the rest is assigned round-robin. The counts per member
//! are the same, but different partitions move; librdkafka takes the lowest ones from the fullest
//! members.
//!
//! A member without topics is ignored. Racks are considered as in the Java client (KIP-881), see
//! [`RackRule`]: a member does not keep a partition without a replica in its rack, and a
//! partition without an owner goes to a member in the rack of a replica, or without a rack, first.
//!
//! Not implemented: claims of the same partition by members of different generations. librdkafka
//! also reverts an earlier move in the opposite direction instead of adding one; this cannot occur
//! when all members subscribe to the same topics.

use crate::librdkafka::loads::Loads;
use crate::librdkafka::queue::{Candidate, Queue};
use crate::{Assignment, ClientFamily, Member, MemberIndex, RackRule, Topics, order};

/// Computes the target assignment.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let has_topics = |member: &Member| !member.subscription.topics().is_empty();
    if members.iter().all(has_topics) {
        return assign_to_subscribers(topics, members, previous);
    }
    // The leader does not parse the metadata of a member without topics, and leaves it out.
    let (mut subscribers, mut originals) = (Vec::new(), Vec::new());
    let mut new_indices = vec![None; members.len()];
    for (index, member) in MemberIndex::all(members.len()).zip(members) {
        if has_topics(member) {
            new_indices[index] = Some(MemberIndex::new(subscribers.len()));
            originals.push(Some(index));
            subscribers.push(member.clone());
        }
    }
    let previous = previous.renumbered(&new_indices);
    assign_to_subscribers(topics, &subscribers, &previous).renumbered(&originals)
}

fn assign_to_subscribers(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let wanted = order::still_wanted(topics, members, previous);
    let racks = RackRule::new(ClientFamily::Librdkafka, topics, members);
    let mut kept = wanted.clone();
    let dropped = racks
        .as_ref()
        .is_some_and(|racks| racks.drop_mismatches(&mut kept));
    let mut loads = Loads::new(topics, members, &kept);
    let queue = Queue::new(topics, &loads);
    let mut owners = kept.clone();
    // The order does not consider racks, apart from the owners that keep their partitions.
    let sorted = racks
        .as_ref()
        .map(|_| queue.sorted(topics, &wanted, &loads));
    let unowned = match &sorted {
        Some(sorted) => {
            let is_unowned = |candidate: &&Candidate| kept.owner(candidate.partition).is_none();
            sorted.iter().filter(is_unowned).copied().collect()
        }
        None => queue.unowned(topics, &kept),
    };
    if let Some(racks) = &racks {
        assign_near(&unowned, racks, &mut owners, &mut loads);
    }
    assign_unowned(&unowned, &mut owners, &mut loads);
    // The loads are usually even at this point, unless a member joined.
    if !loads.are_even() {
        // If a member revoked partitions that it no longer subscribes to and others do, all
        // partitions may move at once.
        let is_member =
            |owner: Option<MemberIndex>| owner.is_some_and(|owner| owner.get() < members.len());
        let revoked = topics.indices().any(|topic| {
            loads.subscribers(topic) > 0
                && topics.partitions(topic).any(|partition| {
                    wanted.owner(partition).is_none() && is_member(previous.owner(partition))
                })
        });
        if !revoked && !dropped {
            balance(&unowned, &mut owners, &mut loads);
        }
        let movable = sorted.unwrap_or_else(|| queue.movable(topics, &kept, &loads));
        balance(&movable, &mut owners, &mut loads);
    }
    owners
}

/// Assigns each partition to the subscriber with the fewest partitions among those that could keep
/// it.
fn assign_near(
    candidates: &[Candidate],
    racks: &RackRule<'_>,
    owners: &mut Assignment,
    loads: &mut Loads,
) {
    for candidate in candidates {
        let near = |member| !racks.mismatch(member, candidate.partition);
        if let Some(member) = loads.fewest_of(candidate.topic, near) {
            owners.set(candidate.partition, Some(member));
            loads.add(member);
        }
    }
}

/// Assigns each partition without an owner to the subscriber with the fewest partitions.
fn assign_unowned(candidates: &[Candidate], owners: &mut Assignment, loads: &mut Loads) {
    for candidate in candidates {
        if owners.owner(candidate.partition).is_none()
            && let Some(member) = loads.fewest(candidate.topic)
        {
            owners.set(candidate.partition, Some(member));
            loads.add(member);
        }
    }
}

/// Moves partitions to subscribers with at least two fewer, until none can move. Terminates because
/// each move lowers the sum of the squared loads.
fn balance(candidates: &[Candidate], owners: &mut Assignment, loads: &mut Loads) {
    let mut moved = true;
    while moved {
        moved = false;
        for candidate in candidates {
            if loads.are_even() {
                return;
            }
            let owner = owners.owner(candidate.partition);
            let (Some(from), Some(to)) = (owner, loads.fewest(candidate.topic)) else {
                continue;
            };
            if loads.of(from) > loads.of(to) + 1 {
                owners.set(candidate.partition, Some(to));
                loads.remove(from);
                loads.add(to);
                moved = true;
            }
        }
    }
}
