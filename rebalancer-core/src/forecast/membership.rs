//! What happens to a group when pods are evicted: who leaves and joins in which rebalance.
//!
//! A replacement starts while its predecessor ends, so that leaves and joins come in any order. A
//! classic group gathers what happens at the same time into one rebalance; the broker of a group of
//! KIP-848 computes a new target with each heartbeat that changes something, or with a few of them
//! at once (real groups came out as either). A static member that leaves is
//! waited for until its session times out, and its partitions are served by nobody.

use super::chance::Chance;
use crate::group::Protocol;

/// What one rebalance takes in: pods whose members leave, and pods whose replacements join.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Batch {
    pub(crate) leave: Vec<usize>,
    pub(crate) join: Vec<usize>,
}

/// From this on a pod takes long to start, compared with the seconds in which a consumer leaves.
const SLOW_TO_START: f64 = 10.0;

/// Which comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Leaves and joins at the same time.
    Together,
    /// All have left before the first one joins.
    LeaveFirst,
    /// All have joined before the first one leaves.
    JoinFirst,
}

impl Order {
    /// All orders.
    pub const ALL: [Self; 3] = [Self::Together, Self::LeaveFirst, Self::JoinFirst];

    /// Draws an order for pods that take so long to start, where that is known.
    ///
    /// A consumer that is told to end leaves within seconds, so that a replacement that takes longer
    /// to start mostly finds it gone; not always, since some finish their work first.
    pub(crate) fn draw(startup_seconds: Option<f64>, chance: Chance) -> Self {
        let slow_to_start = startup_seconds.is_some_and(|seconds| seconds >= SLOW_TO_START);
        // The shares of leave-first, of together, and of join-first.
        let (leave_first, together, join_first) = if slow_to_start { (8, 1, 1) } else { (1, 1, 1) };
        let drawn = chance.below(leave_first + together + join_first);
        if drawn < leave_first {
            Self::LeaveFirst
        } else if drawn < leave_first + together {
            Self::Together
        } else {
            Self::JoinFirst
        }
    }
}

/// The rebalances of a group when `pods` are replaced.
pub(crate) fn batches(
    pods: &[usize],
    order: Order,
    protocol: Protocol,
    chance: Chance,
) -> Vec<Batch> {
    let leaves = pods.iter().map(|pod| (*pod, true));
    let joins = pods.iter().map(|pod| (*pod, false));
    let mut events: Vec<(usize, bool)> = leaves.chain(joins).collect();
    chance.about(0).shuffle(&mut events);
    match order {
        Order::Together => {}
        // The sorts are stable: within a kind the order stays the drawn one.
        Order::LeaveFirst => events.sort_by_key(|(_, leaves)| !leaves),
        Order::JoinFirst => events.sort_by_key(|(_, leaves)| *leaves),
    }
    let gathered = match protocol {
        Protocol::Consumer => gathered_by_chance(&events, chance.about(1)),
        Protocol::Classic => match order {
            Order::Together => vec![events.as_slice()],
            Order::LeaveFirst | Order::JoinFirst => {
                let (first, second) = events.split_at(pods.len());
                vec![first, second]
            }
        },
    };
    gathered
        .into_iter()
        .map(|events: &[(usize, bool)]| {
            let of = |leaves| events.iter().filter(move |event| event.1 == leaves);
            Batch {
                leave: of(true).map(|event| event.0).collect(),
                join: of(false).map(|event| event.0).collect(),
            }
        })
        .collect()
}

/// The events, each with the one before or on its own, whichever chance wants.
fn gathered_by_chance(events: &[(usize, bool)], chance: Chance) -> Vec<&[(usize, bool)]> {
    let mut batches = Vec::new();
    let mut start = 0;
    for end in 1..=events.len() {
        if end == events.len() || chance.about(end).below(2) == 0 {
            batches.push(&events[start..end]);
            start = end;
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::not_known(None, 1.0 / 3.0)]
    #[case::quick(Some(4.0), 1.0 / 3.0)]
    #[case::slow(Some(10.0), 0.8)]
    fn who_starts_slowly_mostly_finds_the_others_gone(
        #[case] startup: Option<f64>,
        #[case] share: f64,
    ) {
        let draws = (0..30_000).map(|sample| Order::draw(startup, Chance::of(1, sample)));
        let leave_first = draws.filter(|order| *order == Order::LeaveFirst).count();
        let found = f64::from(u32::try_from(leave_first).unwrap()) / 30_000.0;
        assert!((found - share).abs() < 0.02, "{found}");
    }

    #[rstest]
    #[case::together(Order::Together, 1)]
    #[case::leave_first(Order::LeaveFirst, 2)]
    #[case::join_first(Order::JoinFirst, 2)]
    fn a_classic_group_gathers(#[case] order: Order, #[case] rebalances: usize) {
        let batches = batches(&[4, 7], order, Protocol::Classic, Chance::of(1, 1));
        assert_eq!(batches.len(), rebalances);
        let leaves_first = batches[0].leave.len() == 2;
        let joins_first = batches[0].join.len() == 2;
        assert_eq!(
            (leaves_first, joins_first),
            (order != Order::JoinFirst, order != Order::LeaveFirst)
        );
    }

    #[rstest]
    fn each_pod_leaves_once_and_is_replaced_once(
        #[values(Order::Together, Order::LeaveFirst, Order::JoinFirst)] order: Order,
        #[values(Protocol::Classic, Protocol::Consumer)] protocol: Protocol,
    ) {
        let mut sizes = std::collections::BTreeSet::new();
        for sample in 0..500 {
            let batches = batches(&[1, 2, 3], order, protocol, Chance::of(1, sample));
            let mut leave: Vec<usize> = batches.iter().flat_map(|b| b.leave.clone()).collect();
            let mut join: Vec<usize> = batches.iter().flat_map(|b| b.join.clone()).collect();
            leave.sort_unstable();
            join.sort_unstable();
            assert_eq!((leave, join), (vec![1, 2, 3], vec![1, 2, 3]));
            sizes.insert(batches.len());
        }
        // Anything between one heartbeat at a time and all of them at once.
        if protocol == Protocol::Consumer {
            assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        }
    }
}
