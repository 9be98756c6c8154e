//! The assignment with the lowest peak that the group keeps.

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex, RackRule};

use super::exact;
use super::instance::Instance;
use super::keeps::keeps;
use super::search::{EPSILON, State};
use super::start;
use crate::forecast::Attribution;
use crate::group::{AssignProblem, ClientFamily, GroupModel};
use crate::statistics::{imbalance, mean};

/// The accepted distances of a peak from the best one, so that less load moves.
#[derive(Debug, Clone, Copy)]
struct Tolerance {
    /// From the lower bound.
    from_bound: f64,
    /// From the lowest peak that was found, where the lower bound is far.
    from_lowest: f64,
}

/// For the peak.
const PEAK: Tolerance = Tolerance {
    from_bound: 0.01,
    from_lowest: 0.002,
};

/// For the highest load of the other pods, if one stands out.
const OTHERS: Tolerance = Tolerance {
    from_bound: 0.05,
    from_lowest: 0.02,
};

/// The search ends when the peak is this close to the lower bound, as a share of the tolerance.
const CLOSE: f64 = 0.1;

/// The number of attempts to leave a local optimum, and the number of partitions up to which they
/// are made. Larger groups have good local optima.
const SHAKES: usize = 40;
const MOST_FOR_SHAKING: usize = 1_024;

/// A partition that changes its owner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartitionMove {
    /// The partition.
    pub partition: PartitionIndex,
    /// The owner before.
    pub from: MemberIndex,
    /// The owner afterwards.
    pub to: MemberIndex,
    /// The attributed load of the partition, in cores or in the unit of a custom load query.
    pub load: f64,
}

/// The loads of the serving pods under an assignment, in cores or in the unit of a custom load
/// query.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedLoads {
    /// The load of each serving pod.
    pub pods: Vec<f64>,
    /// The highest load.
    pub peak: f64,
    /// The highest load as a multiple of the mean; 1 if all loads are zero.
    pub imbalance: f64,
}

/// An assignment that the group keeps, and its effect. Loads are in cores, or in the unit of a
/// custom load query.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The owner of each partition.
    pub assignment: Assignment,
    /// The partitions that change their owner, ascending. Empty if the current owners are as good.
    pub moves: Vec<PartitionMove>,
    /// The attributed loads of the current owners.
    pub before: ExpectedLoads,
    /// The attributed loads of the target.
    pub after: ExpectedLoads,
    /// A lower bound of the peak of any assignment with equal counts.
    pub lower_bound: f64,
    /// The number of pods that no assignment brings to the level of the others, because they are
    /// slow or own a heavy partition. They come first in the order of the loads.
    pub outliers: usize,
    /// The sum of the loads of the partitions that move.
    pub moved_load: f64,
}

/// Finds the owners with the lowest peak that the group's own assignor keeps, and among those with
/// nearly the same peak, owners that move little load.
///
/// The peak is the highest load of a serving pod: base, residual, and the loads of its partitions.
/// The residual stays with the pod, so a pod that is slow for reasons other than its partitions
/// gets less. Each member owns the same number of partitions, or one more.
///
/// The peak is within 1 % of the [lower bound](Target::lower_bound), or as low as the search gets
/// (apart from 0.2 %). If a slow pod or a heavy partition determines it, the other pods are brought
/// to at most `enough` where possible, the load up to which a pod is not hot. At 0 they are
/// balanced as if that pod were one of them.
///
/// `clients` are the families of the members' client; both if it is unknown. The result depends on
/// the arguments only.
///
/// # Errors
/// [`AssignProblem`] if the group's assignor would not keep an assignment, partitions have no
/// owner, subscriptions differ, or racks leave no assignment with equal counts.
pub fn target(
    group: &GroupModel,
    attribution: &Attribution,
    clients: &[ClientFamily],
    enough: f64,
) -> Result<Target, AssignProblem> {
    AssignProblem::check(group.protocol, group.assignor.assignor)?;
    if let Some(problem) = AssignProblem::different_subscriptions(&group.members) {
        return Err(problem);
    }
    let racks = clients
        .iter()
        .filter_map(|client| RackRule::new(*client, &group.topics, &group.members))
        .collect();
    let instance = Instance::new(group, attribution, racks)?;
    let best = best_owners(&instance, enough).ok_or(AssignProblem::Racks)?;
    let assignment = instance.assignment(&best.owners);
    keeps(group, clients, &assignment, None)?;
    let moves: Vec<PartitionMove> = group
        .owners
        .iter()
        .zip(assignment.owners())
        .filter_map(|((partition, from), to)| {
            let (from, to) = (from?, to?);
            let load = attribution.partitions.get(partition.get());
            (from != to).then_some(PartitionMove {
                partition,
                from,
                to,
                load: load.copied().unwrap_or(0.0),
            })
        })
        .collect();
    let after = expected_loads(group, attribution, &assignment);
    let outliers = best.level_of_others.map_or(0, |level| {
        let above = after
            .pods
            .iter()
            .filter(|load| **load > level * (1.0 + EPSILON));
        above.count()
    });
    Ok(Target {
        moved_load: moves.iter().map(|moved| moved.load).sum(),
        before: expected_loads(group, attribution, &group.owners),
        after,
        outliers,
        lower_bound: instance.lower_bound(),
        assignment,
        moves,
    })
}

/// The attributed load of each serving pod if these members own the partitions.
#[must_use]
pub fn expected_loads(
    group: &GroupModel,
    attribution: &Attribution,
    owners: &Assignment,
) -> ExpectedLoads {
    let mut pods: Vec<f64> = (0..group.pods.len())
        .map(|pod| attribution.base + attribution.residuals.get(pod).copied().unwrap_or(0.0))
        .collect();
    for (owner, load) in owners.owners().zip(&attribution.partitions) {
        let pod = owner.and_then(|owner| group.pod_of.get(owner.get()));
        if let Some(sum) = pod.and_then(|pod| pods.get_mut(pod.get())) {
            *sum += load;
        }
    }
    // A pod with a negative residual that now owns less could get a negative load.
    for load in &mut pods {
        *load = load.max(0.0);
    }
    let peak = pods.iter().copied().fold(0.0, f64::max);
    ExpectedLoads {
        imbalance: imbalance(peak, mean(pods.iter().copied())),
        peak,
        pods,
    }
}

/// The result of a search.
struct Found {
    owners: Vec<usize>,
    /// The peak that is low enough.
    limit: f64,
}

/// The best owners.
struct Best {
    owners: Vec<usize>,
    /// The load up to which the other pods are balanced, if some cannot be level with them.
    level_of_others: Option<f64>,
}

/// `None` if racks leave no assignment with equal counts.
fn best_owners(instance: &Instance<'_>, enough: f64) -> Option<Best> {
    let lowest = search(instance, PEAK)?;
    // Pods that cannot be level with the others do not keep these from being balanced.
    if let Some(levelled) = instance.levelled(enough / (1.0 + OTHERS.from_bound))
        && let Some(even) = search(&levelled, OTHERS)
    {
        let mut state = State::new(instance, even.owners);
        if state.settle_below(lowest.limit) {
            return Some(Best {
                owners: state.owners().to_vec(),
                level_of_others: Some(even.limit),
            });
        }
    }
    Some(Best {
        owners: lowest.owners,
        level_of_others: None,
    })
}

/// Finds owners with a low peak that move little load.
fn search(instance: &Instance<'_>, tolerance: Tolerance) -> Option<Found> {
    let bound = instance.lower_bound();
    let close = bound * (1.0 + CLOSE * tolerance.from_bound);
    let current = State::new(instance, start::from_current(instance)?);
    let mut improved = current.clone();
    improved.improve(close);
    let mut lowest = improved.peak();
    // Assignments from nothing move nearly everything, so they are only for a lower peak.
    let mut from_nothing = Vec::new();
    if lowest > close && !instance.has_racks() {
        let pods = start::heaviest_first(instance);
        let mut other = State::new(instance, start::within_pods(instance, &pods));
        other.improve(close);
        lowest = lowest.min(other.peak());
        from_nothing.push(other.pods());
        if lowest > close && instance.len() <= MOST_FOR_SHAKING {
            if other.peak() < improved.peak() {
                improved.clone_from(&other);
            }
            improved.shake(close, SHAKES);
            lowest = lowest.min(improved.peak());
            from_nothing.push(improved.pods());
        }
        if lowest > close
            && let Some(pods) = exact::search(instance, lowest, close)
        {
            let optimum = State::new(instance, start::within_pods(instance, &pods));
            lowest = lowest.min(optimum.peak());
            from_nothing.push(pods);
        }
    }
    let limit = f64::max(
        lowest * (1.0 + tolerance.from_lowest),
        bound * (1.0 + tolerance.from_bound),
    );
    // Where the current owners are good enough already, nothing makes them worse.
    let limit = limit.min(current.peak().max(lowest) * (1.0 + EPSILON));
    let mut candidates = vec![improved];
    let mut gentle = current;
    if gentle.settle_below(limit) {
        candidates.push(gentle);
    }
    for pods in from_nothing {
        let pods = start::relabelled(instance, &pods, limit);
        candidates.push(State::new(instance, start::within_pods(instance, &pods)));
    }
    let fitting = candidates
        .into_iter()
        .filter(|candidate| candidate.peak() <= limit)
        .map(|mut candidate| {
            candidate.bring_home(limit);
            candidate
        });
    let least = fitting.min_by(|a, b| {
        let ((a_load, a_count), (b_load, b_count)) = (a.moved(), b.moved());
        a_load.total_cmp(&b_load).then(a_count.cmp(&b_count))
    })?;
    Some(Found {
        owners: least.owners().to_vec(),
        limit,
    })
}
