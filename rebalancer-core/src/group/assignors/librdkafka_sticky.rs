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

use crate::group::{Assignment, Member, Topics};

use super::librdkafka::loads::Loads;
use super::librdkafka::queue::{Candidate, queue};

/// The owners a group is heading for. The previous owners are places in `members`.
#[must_use]
pub fn assign(topics: &Topics, members: &[Member], previous: &Assignment) -> Assignment {
    let mut ranked: Vec<usize> = (0..members.len()).collect();
    ranked.sort_by_key(|place| &members[*place].id);
    let mut ranks = vec![None; members.len()];
    for (rank, place) in ranked.iter().enumerate() {
        ranks[*place] = Some(rank);
    }
    let previous = previous.renumbered(&ranks);
    let by_rank: Vec<&Member> = ranked.iter().map(|place| &members[*place]).collect();

    let mut loads = Loads::new(topics, by_rank.iter().copied());
    let mut owners = Assignment::unowned(topics.partitions());
    let mut given_up = false;
    for topic in 0..topics.len() {
        for partition in topics.range(topic) {
            let Some(rank) = previous.owner(partition) else {
                continue;
            };
            if by_rank[rank].subscription.contains(topic) {
                owners.set(partition, Some(rank));
                loads.add(rank);
            } else {
                given_up |= loads.subscribers(topic) > 0;
            }
        }
    }

    let all = queue(topics, &owners, &loads);
    let unowned: Vec<Candidate> = all
        .iter()
        .filter(|candidate| owners.owner(candidate.partition).is_none())
        .copied()
        .collect();
    give_out(&unowned, &mut owners, &mut loads);
    if !given_up {
        even_out(&unowned, &mut owners, &mut loads);
    }
    even_out(&all, &mut owners, &mut loads);

    let places: Vec<Option<usize>> = ranked.into_iter().map(Some).collect();
    owners.renumbered(&places)
}

/// Gives each partition to the subscriber with the fewest.
fn give_out(candidates: &[Candidate], owners: &mut Assignment, loads: &mut Loads) {
    for candidate in candidates {
        if let Some(rank) = loads.fewest(candidate.topic) {
            owners.set(candidate.partition, Some(rank));
            loads.add(rank);
        }
    }
}

/// Moves partitions to subscribers with at least two fewer, until there is none. It ends: each move
/// makes the sum of the squared loads smaller.
fn even_out(candidates: &[Candidate], owners: &mut Assignment, loads: &mut Loads) {
    let mut moved = true;
    while moved && !loads.are_even() {
        moved = false;
        for candidate in candidates {
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
