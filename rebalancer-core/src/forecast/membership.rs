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

/// How long a consumer that is told to end takes to leave its group, in seconds: the mean of an
/// exponential distribution. Most leave at once; some finish their work first, and those of one
/// workload take about as long as each other.
const LEAVE_SECONDS: f64 = 6.0;

/// How far apart consumers that take as long as each other are, in seconds.
const APART_SECONDS: f64 = 1.0;

/// What happens within so many seconds is one rebalance of a classic group: each member hears of it
/// with its next heartbeat (`heartbeat.interval.ms`, 3 s by default).
const CLASSIC_GATHERS_SECONDS: f64 = 3.0;

/// The same of a group of KIP-848 (`group.consumer.heartbeat.interval.ms`, 5 s by default), where
/// it may be one and need not.
const CONSUMER_GATHERS_SECONDS: f64 = 5.0;

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
}

/// What is known of when members leave and join.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Timing<'a> {
    /// The order.
    Known(Order),
    /// How long pods of the workload took to start, in seconds, and whether a replacement is only
    /// made when the pod before it is gone, as a StatefulSet does. Without any such length each
    /// order is as likely.
    Startups(&'a [f64], bool),
}

/// A pod, and whether its member leaves or that of its replacement joins.
type Event = (usize, bool);

/// The rebalances of a group when `pods` are replaced.
pub(crate) fn batches(
    pods: &[usize],
    timing: Timing<'_>,
    protocol: Protocol,
    chance: Chance,
) -> Vec<Batch> {
    let batches = match timing {
        Timing::Known(order) => ordered(pods, order, protocol, chance),
        Timing::Startups([], _) => {
            let drawn = chance.about(2).below(Order::ALL.len());
            let order = Order::ALL.get(drawn).copied();
            ordered(pods, order.unwrap_or(Order::Together), protocol, chance)
        }
        Timing::Startups(startups, after_leaving) => {
            timed(pods, startups, after_leaving, protocol, chance)
        }
    };
    let batch = |events: Vec<Event>| {
        let of = |leaves| events.iter().filter(move |event| event.1 == leaves);
        Batch {
            leave: of(true).map(|event| event.0).collect(),
            join: of(false).map(|event| event.0).collect(),
        }
    };
    batches.into_iter().map(batch).collect()
}

/// One after the other in that order.
fn ordered(pods: &[usize], order: Order, protocol: Protocol, chance: Chance) -> Vec<Vec<Event>> {
    let leaves = pods.iter().map(|pod| (*pod, true));
    let joins = pods.iter().map(|pod| (*pod, false));
    let mut events: Vec<Event> = leaves.chain(joins).collect();
    chance.about(0).shuffle(&mut events);
    match order {
        Order::Together => {}
        // The sorts are stable: within a kind the order stays the drawn one.
        Order::LeaveFirst => events.sort_by_key(|(_, leaves)| !leaves),
        Order::JoinFirst => events.sort_by_key(|(_, leaves)| *leaves),
    }
    let gathers = |place: usize| match (protocol, order) {
        (Protocol::Consumer, _) => by_chance(place, chance),
        (Protocol::Classic, Order::Together) => true,
        (Protocol::Classic, Order::LeaveFirst | Order::JoinFirst) => place != pods.len(),
    };
    let mut batches: Vec<Vec<Event>> = Vec::new();
    for (place, event) in events.into_iter().enumerate() {
        match batches.last_mut() {
            Some(batch) if gathers(place) => batch.push(event),
            Some(_) | None => batches.push(vec![event]),
        }
    }
    batches
}

/// Each when its time has come.
fn timed(
    pods: &[usize],
    startups: &[f64],
    after_leaving: bool,
    protocol: Protocol,
    chance: Chance,
) -> Vec<Vec<Event>> {
    // Of all pods together: they are consumers of one kind.
    let leaving = -LEAVE_SECONDS * (1.0 - chance.about(0).share()).ln();
    let mut events: Vec<(f64, Event)> = Vec::with_capacity(2 * pods.len());
    for pod in pods {
        let chance = chance.about(3).about(*pod);
        let leaves = leaving + APART_SECONDS * chance.about(0).share();
        let startup = startups.get(chance.about(1).below(startups.len()));
        let joins = startup.copied().unwrap_or(0.0) + APART_SECONDS * chance.about(2).share();
        events.push((leaves, (*pod, true)));
        let created = if after_leaving { leaves } else { 0.0 };
        events.push((created + joins, (*pod, false)));
    }
    events.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut batches: Vec<Vec<Event>> = Vec::new();
    let mut began = f64::NEG_INFINITY;
    for (place, (at, event)) in events.into_iter().enumerate() {
        let since = at - began;
        let gathers = match protocol {
            Protocol::Classic => since < CLASSIC_GATHERS_SECONDS,
            Protocol::Consumer => since < CONSUMER_GATHERS_SECONDS && by_chance(place, chance),
        };
        match batches.last_mut() {
            Some(batch) if gathers => batch.push(event),
            Some(_) | None => {
                began = at;
                batches.push(vec![event]);
            }
        }
    }
    batches
}

/// Whether a broker of KIP-848 takes the event of this number together with the one before.
fn by_chance(place: usize, chance: Chance) -> bool {
    chance.about(1).about(place).below(2) == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::together(Order::Together, 1)]
    #[case::leave_first(Order::LeaveFirst, 2)]
    #[case::join_first(Order::JoinFirst, 2)]
    fn a_classic_group_gathers(#[case] order: Order, #[case] rebalances: usize) {
        let timing = Timing::Known(order);
        let batches = batches(&[4, 7], timing, Protocol::Classic, Chance::of(1, 1));
        assert_eq!(batches.len(), rebalances);
        let leaves_first = batches[0].leave.len() == 2;
        let joins_first = batches[0].join.len() == 2;
        assert_eq!(
            (leaves_first, joins_first),
            (order != Order::JoinFirst, order != Order::LeaveFirst)
        );
    }

    /// The shares, in percent, of those that find the others gone, of those that join while the
    /// others leave, and of those that join before.
    fn shares(timing: Timing<'_>) -> [u32; 3] {
        let mut counts = [0; 3];
        for sample in 0..20_000 {
            let batches = batches(&[1], timing, Protocol::Classic, Chance::of(1, sample));
            let place = match batches.as_slice() {
                [_] => 1,
                [first, ..] if first.join.is_empty() => 0,
                _ => 2,
            };
            counts[place] += 1;
        }
        counts.map(|count: u32| (count + 100) / 200)
    }

    #[rstest]
    #[case::not_known(&[], [33, 33, 33])]
    #[case::at_once(&[0.0], [0, 39, 61])]
    #[case::quick(&[6.0], [39, 38, 22])]
    #[case::slow(&[30.0], [99, 1, 0])]
    #[case::one_or_the_other(&[6.0, 30.0], [69, 20, 11])]
    fn who_starts_slowly_mostly_finds_the_others_gone(
        #[case] startups: &[f64],
        #[case] expected: [u32; 3],
    ) {
        let found = shares(Timing::Startups(startups, false));
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(found.abs_diff(expected) <= 1, "{found} and not {expected}");
        }
    }

    #[test]
    fn the_replacement_of_a_stateful_set_comes_when_the_pod_before_it_is_gone() {
        for sample in 0..500 {
            let timing = Timing::Startups(&[0.0, 1.0, 9.0], true);
            let batches = batches(&[5], timing, Protocol::Classic, Chance::of(1, sample));
            assert_eq!(batches[0].leave, [5], "{batches:?}");
        }
    }

    /// Pods that take long to start do not start at the same time, and a group does not wait.
    #[test]
    fn joins_that_are_far_apart_are_rebalances_of_their_own() {
        let timing = Timing::Startups(&[30.0, 60.0], false);
        let counts: std::collections::BTreeSet<usize> = (0..500)
            .map(|sample| batches(&[1, 2], timing, Protocol::Classic, Chance::of(1, sample)).len())
            .collect();
        assert!(counts.contains(&2) && counts.contains(&3), "{counts:?}");
    }

    #[rstest]
    fn each_pod_leaves_once_and_is_replaced_once(
        #[values(
            Timing::Known(Order::Together),
            Timing::Known(Order::LeaveFirst),
            Timing::Known(Order::JoinFirst),
            Timing::Startups(&[], false),
            Timing::Startups(&[1.0, 5.0, 20.0], false),
            Timing::Startups(&[1.0, 5.0, 20.0], true)
        )]
        timing: Timing<'_>,
        #[values(Protocol::Classic, Protocol::Consumer)] protocol: Protocol,
    ) {
        let mut sizes = std::collections::BTreeSet::new();
        for sample in 0..500 {
            let batches = batches(&[1, 2, 3], timing, protocol, Chance::of(1, sample));
            let mut leave: Vec<usize> = batches.iter().flat_map(|b| b.leave.clone()).collect();
            let mut join: Vec<usize> = batches.iter().flat_map(|b| b.join.clone()).collect();
            leave.sort_unstable();
            join.sort_unstable();
            assert_eq!((leave, join), (vec![1, 2, 3], vec![1, 2, 3]));
            sizes.insert(batches.len());
        }
        // Anything between one heartbeat at a time and all of them at once.
        if let (Timing::Known(_), Protocol::Consumer) = (timing, protocol) {
            assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        }
    }
}
