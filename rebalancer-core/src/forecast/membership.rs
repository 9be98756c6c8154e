//! The order in which members leave and join when pods are evicted or members rejoin, and the
//! resulting rebalances.
//!
//! A replacement starts while its predecessor shuts down, so leaves and joins occur in any order. A
//! classic group handles simultaneous changes in one rebalance. The broker of a KIP-848 group
//! computes a new target at each heartbeat that changes the group, or for several of them at once
//! (both occur in real groups). When a static member leaves, its partitions are not consumed until
//! its session times out.

use super::chance::Chance;
use crate::group::{Protocol, ServingPodIndex};

/// The changes that one rebalance handles: pods whose members leave, and pods whose replacements
/// join or whose members return.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Batch {
    pub(crate) leave: Vec<ServingPodIndex>,
    pub(crate) join: Vec<ServingPodIndex>,
}

/// The mean time from the termination signal until a consumer leaves its group, in seconds. The
/// distribution is exponential: most consumers leave immediately, some finish their work first. The
/// consumers of one workload take about the same time.
const LEAVE_SECONDS: f64 = 6.0;

/// The variation among the consumers of one workload, in seconds.
const APART_SECONDS: f64 = 1.0;

/// The time in which a classic group collects changes for one rebalance, in seconds: members learn
/// about it with their next heartbeat (`heartbeat.interval.ms`, 3 s by default).
const CLASSIC_GATHERS_SECONDS: f64 = 3.0;

/// The time in which a KIP-848 group may collect changes for one target, in seconds
/// (`group.consumer.heartbeat.interval.ms`, 5 s by default).
const CONSUMER_GATHERS_SECONDS: f64 = 5.0;

/// The order of leaves and joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaveJoinOrder {
    /// Members leave and join at the same time.
    Together,
    /// All members leave before the first one joins.
    LeaveFirst,
    /// All members join before the first one leaves.
    JoinFirst,
}

impl LeaveJoinOrder {
    /// All orders.
    pub const ALL: [Self; 3] = [Self::Together, Self::LeaveFirst, Self::JoinFirst];
}

/// The knowledge about the times at which members leave and join.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Timing<'a> {
    /// The order.
    Known(LeaveJoinOrder),
    /// The startup durations of the workload's pods, in seconds, and whether a replacement is only
    /// created when its predecessor is gone, as in a StatefulSet. Without any duration all orders
    /// have the same probability.
    Startups(&'a [f64], bool),
}

/// A change of the membership: a pod, and whether its member leaves (otherwise the member of its
/// replacement joins).
type Change = (ServingPodIndex, bool);

/// Returns the rebalances of a group when `pods` are replaced.
pub(crate) fn batches(
    pods: &[ServingPodIndex],
    timing: Timing<'_>,
    protocol: Protocol,
    chance: Chance,
) -> Vec<Batch> {
    let batches = match timing {
        Timing::Known(order) => ordered(pods, order, protocol, chance),
        Timing::Startups([], _) => {
            let drawn = chance.about(2).below(LeaveJoinOrder::ALL.len());
            let order = LeaveJoinOrder::ALL.get(drawn).copied();
            ordered(
                pods,
                order.unwrap_or(LeaveJoinOrder::Together),
                protocol,
                chance,
            )
        }
        Timing::Startups(startups, after_leaving) => {
            timed(pods, startups, after_leaving, protocol, chance)
        }
    };
    let batch = |changes: Vec<Change>| {
        let of = |leaves| changes.iter().filter(move |change| change.1 == leaves);
        Batch {
            leave: of(true).map(|change| change.0).collect(),
            join: of(false).map(|change| change.0).collect(),
        }
    };
    batches.into_iter().map(batch).collect()
}

/// Returns the rebalances of a group when the members of `pods` are removed at once and return.
///
/// A classic group waits for all of them in the rebalance in which they were removed. The broker of
/// a KIP-848 group assigns the partitions of the removed members immediately, and again when
/// members return with their heartbeats, one by one or several at once.
pub(crate) fn rejoins(pods: &[ServingPodIndex], protocol: Protocol, chance: Chance) -> Vec<Batch> {
    match protocol {
        Protocol::Classic => vec![Batch {
            leave: pods.to_vec(),
            join: pods.to_vec(),
        }],
        Protocol::Consumer => {
            let mut returning = pods.to_vec();
            chance.about(0).shuffle(&mut returning);
            let mut batches = vec![Batch {
                leave: pods.to_vec(),
                join: Vec::new(),
            }];
            for (position, pod) in returning.into_iter().enumerate() {
                match batches.last_mut() {
                    Some(batch) if position > 0 && by_chance(position, chance) => {
                        batch.join.push(pod);
                    }
                    Some(_) | None => batches.push(Batch {
                        leave: Vec::new(),
                        join: vec![pod],
                    }),
                }
            }
            batches
        }
    }
}

/// Batches in a given order.
fn ordered(
    pods: &[ServingPodIndex],
    order: LeaveJoinOrder,
    protocol: Protocol,
    chance: Chance,
) -> Vec<Vec<Change>> {
    let leaves = pods.iter().map(|pod| (*pod, true));
    let joins = pods.iter().map(|pod| (*pod, false));
    let mut changes: Vec<Change> = leaves.chain(joins).collect();
    chance.about(0).shuffle(&mut changes);
    match order {
        LeaveJoinOrder::Together => {}
        // The sorts are stable: leaves and joins each keep the drawn order.
        LeaveJoinOrder::LeaveFirst => changes.sort_by_key(|(_, leaves)| !leaves),
        LeaveJoinOrder::JoinFirst => changes.sort_by_key(|(_, leaves)| *leaves),
    }
    let gathers = |position: usize| match (protocol, order) {
        (Protocol::Consumer, _) => by_chance(position, chance),
        (Protocol::Classic, LeaveJoinOrder::Together) => true,
        (Protocol::Classic, LeaveJoinOrder::LeaveFirst | LeaveJoinOrder::JoinFirst) => {
            position != pods.len()
        }
    };
    let mut batches: Vec<Vec<Change>> = Vec::new();
    for (position, change) in changes.into_iter().enumerate() {
        match batches.last_mut() {
            Some(batch) if gathers(position) => batch.push(change),
            Some(_) | None => batches.push(vec![change]),
        }
    }
    batches
}

/// Batches at drawn times.
fn timed(
    pods: &[ServingPodIndex],
    startups: &[f64],
    after_leaving: bool,
    protocol: Protocol,
    chance: Chance,
) -> Vec<Vec<Change>> {
    // One draw for all pods, because they run the same consumer.
    let leaving = -LEAVE_SECONDS * (1.0 - chance.about(0).share()).ln();
    let mut changes: Vec<(f64, Change)> = Vec::with_capacity(2 * pods.len());
    for pod in pods {
        let chance = chance.about(3).about(pod.get());
        let leaves = leaving + APART_SECONDS * chance.about(0).share();
        let startup = startups.get(chance.about(1).below(startups.len()));
        let joins = startup.copied().unwrap_or(0.0) + APART_SECONDS * chance.about(2).share();
        changes.push((leaves, (*pod, true)));
        let created = if after_leaving { leaves } else { 0.0 };
        changes.push((created + joins, (*pod, false)));
    }
    changes.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut batches: Vec<Vec<Change>> = Vec::new();
    let mut began = f64::NEG_INFINITY;
    for (position, (at, change)) in changes.into_iter().enumerate() {
        let since = at - began;
        let gathers = match protocol {
            Protocol::Classic => since < CLASSIC_GATHERS_SECONDS,
            Protocol::Consumer => since < CONSUMER_GATHERS_SECONDS && by_chance(position, chance),
        };
        match batches.last_mut() {
            Some(batch) if gathers => batch.push(change),
            Some(_) | None => {
                began = at;
                batches.push(vec![change]);
            }
        }
    }
    batches
}

/// Whether a KIP-848 broker handles the change at this position together with the one before.
fn by_chance(position: usize, chance: Chance) -> bool {
    chance.about(1).about(position).below(2) == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn pods<const N: usize>(indices: [usize; N]) -> [ServingPodIndex; N] {
        indices.map(ServingPodIndex::new)
    }

    #[rstest]
    #[case::together(LeaveJoinOrder::Together, 1)]
    #[case::leave_first(LeaveJoinOrder::LeaveFirst, 2)]
    #[case::join_first(LeaveJoinOrder::JoinFirst, 2)]
    fn classic_group_collects_changes(#[case] order: LeaveJoinOrder, #[case] rebalances: usize) {
        let timing = Timing::Known(order);
        let batches = batches(&pods([4, 7]), timing, Protocol::Classic, Chance::of(1, 1));
        assert_eq!(batches.len(), rebalances);
        let leaves_first = batches[0].leave.len() == 2;
        let joins_first = batches[0].join.len() == 2;
        assert_eq!(
            (leaves_first, joins_first),
            (
                order != LeaveJoinOrder::JoinFirst,
                order != LeaveJoinOrder::LeaveFirst
            )
        );
    }

    /// The percentages of replacements that join after, during and before the leave.
    fn shares(timing: Timing<'_>) -> [u32; 3] {
        let mut counts = [0; 3];
        for sample in 0..20_000 {
            let batches = batches(&pods([1]), timing, Protocol::Classic, Chance::of(1, sample));
            let case = match batches.as_slice() {
                [_] => 1,
                [first, ..] if first.join.is_empty() => 0,
                _ => 2,
            };
            counts[case] += 1;
        }
        counts.map(|count: u32| (count + 100) / 200)
    }

    #[rstest]
    #[case::not_known(&[], [33, 33, 33])]
    #[case::at_once(&[0.0], [0, 39, 61])]
    #[case::quick(&[6.0], [39, 38, 22])]
    #[case::slow(&[30.0], [99, 1, 0])]
    #[case::one_or_the_other(&[6.0, 30.0], [69, 20, 11])]
    fn slow_starters_mostly_join_after_the_leave(
        #[case] startups: &[f64],
        #[case] expected: [u32; 3],
    ) {
        let found = shares(Timing::Startups(startups, false));
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(found.abs_diff(expected) <= 1, "{found} and not {expected}");
        }
    }

    #[test]
    fn stateful_set_replaces_pods_after_they_leave() {
        for sample in 0..500 {
            let timing = Timing::Startups(&[0.0, 1.0, 9.0], true);
            let batches = batches(&pods([5]), timing, Protocol::Classic, Chance::of(1, sample));
            assert_eq!(batches[0].leave, pods([5]), "{batches:?}");
        }
    }

    /// Pods with long startups differ in their startup durations, and a group does not wait.
    #[test]
    fn distant_joins_are_separate_rebalances() {
        let timing = Timing::Startups(&[30.0, 60.0], false);
        let counts: std::collections::BTreeSet<usize> = (0..500)
            .map(|sample| {
                batches(
                    &pods([1, 2]),
                    timing,
                    Protocol::Classic,
                    Chance::of(1, sample),
                )
                .len()
            })
            .collect();
        assert!(counts.contains(&2) && counts.contains(&3), "{counts:?}");
    }

    #[rstest]
    fn each_pod_leaves_and_is_replaced_once(
        #[values(
            Timing::Known(LeaveJoinOrder::Together),
            Timing::Known(LeaveJoinOrder::LeaveFirst),
            Timing::Known(LeaveJoinOrder::JoinFirst),
            Timing::Startups(&[], false),
            Timing::Startups(&[1.0, 5.0, 20.0], false),
            Timing::Startups(&[1.0, 5.0, 20.0], true)
        )]
        timing: Timing<'_>,
        #[values(Protocol::Classic, Protocol::Consumer)] protocol: Protocol,
    ) {
        let mut sizes = std::collections::BTreeSet::new();
        for sample in 0..500 {
            let batches = batches(&pods([1, 2, 3]), timing, protocol, Chance::of(1, sample));
            let mut leave: Vec<_> = batches.iter().flat_map(|b| b.leave.clone()).collect();
            let mut join: Vec<_> = batches.iter().flat_map(|b| b.join.clone()).collect();
            leave.sort_unstable();
            join.sort_unstable();
            assert_eq!(
                (&leave[..], &join[..]),
                (&pods([1, 2, 3])[..], &pods([1, 2, 3])[..])
            );
            sizes.insert(batches.len());
        }
        // From all changes at once to one at a time.
        if let (Timing::Known(_), Protocol::Consumer) = (timing, protocol) {
            assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn classic_group_waits_for_removed_members() {
        for sample in 0..50 {
            let batches = rejoins(&pods([4, 7]), Protocol::Classic, Chance::of(1, sample));
            let [batch] = batches.as_slice() else {
                panic!("{batches:?}");
            };
            assert_eq!(
                (&batch.leave[..], &batch.join[..]),
                (&pods([4, 7])[..], &pods([4, 7])[..])
            );
        }
    }

    /// All leave at once, and return at once, one by one, or in between.
    #[test]
    fn broker_assigns_again_as_removed_members_return() {
        let mut sizes = std::collections::BTreeSet::new();
        for sample in 0..500 {
            let batches = rejoins(&pods([1, 2, 3]), Protocol::Consumer, Chance::of(1, sample));
            assert_eq!(batches[0].leave, pods([1, 2, 3]));
            assert!(batches[0].join.is_empty());
            let mut join: Vec<_> = batches.iter().flat_map(|b| b.join.clone()).collect();
            join.sort_unstable();
            assert_eq!(join, pods([1, 2, 3]));
            assert!(batches[1..].iter().all(|batch| batch.leave.is_empty()));
            sizes.insert(batches.len());
        }
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [2, 3, 4]);
    }
}
