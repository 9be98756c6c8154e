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
//! member keeps more than its share, and the rest is assigned round-robin. The counts per member are
//! the same, but different partitions move; librdkafka takes the lowest ones from the fullest
//! members.
//!
//! Not implemented: racks (`client.rack`), and claims of the same partition by members of different
//! generations. librdkafka also reverts an earlier move in the opposite direction instead of adding
//! one; this cannot occur when all members subscribe to the same topics.

use crate::librdkafka::loads::Loads;
use crate::librdkafka::queue::{Candidate, Queue};
use crate::{Assignment, Member, Topics, order};

/// Computes the target assignment.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let kept = order::still_wanted(topics, members, previous);
    let mut loads = Loads::new(topics, members, &kept);
    let queue = Queue::new(topics, &loads);
    let unowned = queue.unowned(topics, &kept);
    let mut owners = kept.clone();
    assign_unowned(&unowned, &mut owners, &mut loads);
    // The loads are usually even at this point, unless a member joined.
    if !loads.are_even() {
        // If a member revoked partitions that it no longer subscribes to and others do, all
        // partitions may move at once.
        let is_member = |owner: Option<crate::MemberIndex>| {
            owner.is_some_and(|owner| owner.get() < members.len())
        };
        let revoked = topics.indices().any(|topic| {
            loads.subscribers(topic) > 0
                && topics.partitions(topic).any(|partition| {
                    kept.owner(partition).is_none() && is_member(previous.owner(partition))
                })
        });
        if !revoked {
            balance(&unowned, &mut owners, &mut loads);
        }
        let movable = queue.movable(topics, &kept, &loads);
        balance(&movable, &mut owners, &mut loads);
    }
    owners
}

/// Assigns each partition to the subscriber with the fewest partitions.
fn assign_unowned(candidates: &[Candidate], owners: &mut Assignment, loads: &mut Loads) {
    for candidate in candidates {
        if let Some(member) = loads.fewest(candidate.topic) {
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
