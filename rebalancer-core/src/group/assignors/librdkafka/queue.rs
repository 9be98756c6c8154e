//! In which order partitions are given out and moved.

use crate::group::{Assignment, Topics};

use super::loads::Loads;

/// A partition with its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Candidate {
    pub(in super::super) partition: usize,
    pub(in super::super) topic: usize,
}

/// All partitions that somebody wants, those first that are given out and moved first.
pub(in super::super) fn queue(
    topics: &Topics,
    owners: &Assignment,
    loads: &Loads,
) -> Vec<Candidate> {
    let wanted: Vec<usize> = (0..topics.len())
        .filter(|topic| loads.subscribers(*topic) > 0 && !topics.range(*topic).is_empty())
        .collect();
    let alike = wanted
        .iter()
        .all(|topic| loads.subscribers(*topic) == loads.members());
    if alike {
        fullest_first(topics, &wanted, owners, loads.members())
    } else {
        fewest_choices_first(topics, wanted, loads)
    }
}

/// The order when all members want the same: one partition after the other is taken from whoever
/// has most left, its lowest one, the last one by id if several have as many. Partitions without
/// an owner follow from the highest to the lowest; when none has an owner they go upwards.
fn fullest_first(
    topics: &Topics,
    wanted: &[usize],
    owners: &Assignment,
    members: usize,
) -> Vec<Candidate> {
    let mut owned = vec![Vec::new(); members];
    let mut unowned = Vec::new();
    for candidate in candidates(topics, wanted) {
        match owners.owner(candidate.partition) {
            Some(rank) => owned[rank].push(candidate),
            None => unowned.push(candidate),
        }
    }
    // The lowest of n partitions is taken when n are left, the next one when n - 1 are left: so
    // no list has to be sorted again after each.
    let most = owned.iter().map(Vec::len).max().unwrap_or(0);
    if most == 0 {
        return unowned;
    }
    let mut taken_when_left = vec![Vec::new(); most];
    for list in owned.iter().rev() {
        for (taken, candidate) in list.iter().enumerate() {
            taken_when_left[list.len() - taken - 1].push(*candidate);
        }
    }
    let taken = taken_when_left.into_iter().rev().flatten();
    taken.chain(unowned.into_iter().rev()).collect()
}

/// The order when members want different topics: those first that the fewest members want, then
/// by name and number.
fn fewest_choices_first(topics: &Topics, mut wanted: Vec<usize>, loads: &Loads) -> Vec<Candidate> {
    wanted.sort_by_key(|topic| loads.subscribers(*topic));
    candidates(topics, &wanted).collect()
}

/// The partitions of topics, in their order.
fn candidates(topics: &Topics, wanted: &[usize]) -> impl Iterator<Item = Candidate> {
    wanted.iter().flat_map(|&topic| {
        let partitions = topics.range(topic);
        partitions.map(move |partition| Candidate { partition, topic })
    })
}
