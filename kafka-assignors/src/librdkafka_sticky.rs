//! `sticky` as librdkafka computes it: KIP-54's general algorithm, with KIP-341's repairs.
//!
//! librdkafka has it under the one name `cooperative-sticky`
//! ([its other half](super::librdkafka_cooperative_sticky)); what this module makes is where such
//! a group is heading.
//!
//! 1. Members keep what they have and still want.
//! 2. The rest is given out, each partition to the subscriber with the fewest.
//! 3. Partitions move from their owner to the subscriber with the fewest while the owner has at
//!    least two more: first only those just given out, then all, until nothing moves.
//!
//! Ties are broken by member id, the lowest first. When all members want the same, partitions come
//! in the order in which they are taken away one by one from the fullest member that is left (the
//! highest id of several), its lowest one first; those without an owner follow from the highest
//! number to the lowest. When members want different topics, partitions come in the order of how
//! many want them, then by name and number.
//!
//! The Java client has had a shorter algorithm since 2.6 for members that want the same: it lets
//! nobody keep more than their share, and gives out what is left round-robin. Members end up with as
//! many partitions, but with other ones; librdkafka always takes the lowest ones from the fullest.
//!
//! Not here: racks (`client.rack`), and two members that claim the same partition of different
//! generations. librdkafka also undoes earlier moves of the other direction instead of adding
//! one; members that want the same never have such, see [`assign`].

use super::librdkafka::loads::Loads;
use super::librdkafka::queue::{Candidate, Queue};
use super::order;
use crate::{Assignment, Member, Topics};

/// The owners a group is heading for. The previous owners are places in `members`.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let kept = order::still_wanted(topics, members, previous);
    let mut loads = Loads::new(topics, members, &kept);
    let queue = Queue::new(topics, &loads);
    let unowned = queue.unowned(topics, &kept);
    let mut owners = kept.clone();
    give_out(&unowned, &mut owners, &mut loads);
    // Nearly always they are even by now, unless somebody joined.
    if !loads.are_even() {
        // Where a member owned what it no longer wants and others do, all may move at once.
        let given_up = (0..topics.len()).any(|topic| {
            let was_owned = |owner: Option<usize>| owner.is_some_and(|owner| owner < members.len());
            loads.subscribers(topic) > 0
                && topics.range(topic).any(|partition| {
                    kept.owner(partition).is_none() && was_owned(previous.owner(partition))
                })
        });
        if !given_up {
            even_out(&unowned, &mut owners, &mut loads);
        }
        even_out(
            &queue.movable(topics, &kept, &loads),
            &mut owners,
            &mut loads,
        );
    }
    owners
}

/// Gives each partition to the subscriber with the fewest.
fn give_out(candidates: &[Candidate], owners: &mut Assignment, loads: &mut Loads) {
    for candidate in candidates {
        if let Some(member) = loads.fewest(candidate.topic) {
            owners.set(candidate.partition, Some(member));
            loads.add(member);
        }
    }
}

/// Moves partitions to subscribers with at least two fewer, until there is none. It ends: each move
/// makes the sum of the squared loads smaller.
fn even_out(candidates: &[Candidate], owners: &mut Assignment, loads: &mut Loads) {
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
