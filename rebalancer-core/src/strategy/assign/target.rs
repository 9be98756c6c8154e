//! The assignment with the lowest peak that the group keeps.

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex, RackRule};

use super::exact;
use super::instance::Instance;
use super::keeps::keeps;
use super::problem::AssignProblem;
use super::search::State;
use super::start;
use crate::forecast::Attribution;
use crate::group::{ClientFamily, GroupModel};
use crate::statistics::{imbalance, mean};

/// The relative distance of the peak from the lower bound that is accepted, so that less load moves.
const TOLERANCE: f64 = 0.01;

/// The accepted distance from the lowest peak that was found, where the lower bound is far.
const SLACK: f64 = 0.002;

/// The search ends when the peak is this close to the lower bound.
const CLOSE: f64 = 0.001;

/// A partition that changes its owner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartitionMove {
    /// The partition.
    pub partition: PartitionIndex,
    /// The owner before.
    pub from: MemberIndex,
    /// The owner afterwards.
    pub to: MemberIndex,
    /// The attributed load of the partition, in cores.
    pub load: f64,
}

/// The loads of the serving pods under an assignment.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedLoads {
    /// The load of each serving pod, in cores.
    pub pods: Vec<f64>,
    /// The highest load, in cores.
    pub peak: f64,
    /// The highest load as a multiple of the mean; 1 if all loads are zero.
    pub imbalance: f64,
}

/// An assignment that the group keeps, and what it changes.
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
    /// A lower bound of the peak of any assignment with equal counts, in cores.
    pub lower_bound: f64,
    /// The sum of the loads of the partitions that move, in cores.
    pub moved_load: f64,
}

/// Finds the owners with the lowest peak that the group's own assignor keeps, and among those with
/// nearly the same peak, owners that move little load.
///
/// The peak is the highest load of a serving pod: base, residual, and the loads of its partitions.
/// The residual stays with the pod, so a pod that is slow for reasons other than its partitions gets
/// less. Each member owns the same number of partitions, or one more. `clients` are the families of the
/// members' client; both if it is unknown.
///
/// The peak is within 1 % of the [lower bound](Target::lower_bound), or as low as the search gets
/// (apart from 0.2 %). The result depends on the arguments only.
///
/// # Errors
/// [`AssignProblem`] if the group's assignor would not keep an assignment, partitions have no owner,
/// subscriptions differ, or racks leave no assignment with equal counts.
pub fn target(
    group: &GroupModel,
    attribution: &Attribution,
    clients: &[ClientFamily],
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
    let owners = best_owners(&instance).ok_or(AssignProblem::Racks)?;
    let assignment = instance.assignment(&owners);
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
    Ok(Target {
        moved_load: moves.iter().map(|moved| moved.load).sum(),
        before: expected_loads(group, attribution, &group.owners),
        after: expected_loads(group, attribution, &assignment),
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

/// `None` if racks leave no assignment with equal counts.
fn best_owners(instance: &Instance<'_>) -> Option<Vec<usize>> {
    let bound = instance.goal();
    let close = bound * (1.0 + CLOSE);
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
        if lowest > close
            && let Some(pods) = exact::search(instance, lowest, close)
        {
            let optimum = State::new(instance, start::within_pods(instance, &pods));
            lowest = lowest.min(optimum.peak());
            from_nothing.push(pods);
        }
    }
    let limit = (lowest * (1.0 + SLACK)).max(bound * (1.0 + TOLERANCE));
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
    let owners = least.owners().to_vec();
    Some(with_lower_slow_pods(instance, &owners, limit).unwrap_or(owners))
}

/// Takes more load from the slow pods, of which the slowest is the peak. The search has balanced the
/// load that they have beyond the lightest partitions, and the slowest ones should have the least
/// of it. Returns `None` if the peak is as low as it gets, or the other pods would exceed `limit` for
/// a small gain.
fn with_lower_slow_pods(
    instance: &Instance<'_>,
    owners: &[usize],
    limit: f64,
) -> Option<Vec<usize>> {
    let actual = instance.unshifted()?;
    let mut state = State::new(&actual, owners.to_vec());
    let before = state.peak();
    state.improve(actual.lower_bound() * (1.0 + CLOSE));
    let is_lower = state.peak() < before;
    let is_much_lower = state.peak() * (1.0 + TOLERANCE) < before;
    let others = State::new(instance, state.owners().to_vec()).peak();
    (is_much_lower || (is_lower && others <= limit)).then(|| state.owners().to_vec())
}
