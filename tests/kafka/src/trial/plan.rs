//! The plan of a hand-over, as a run computes it: from the observation of the group by the Kafka
//! adapter, and the loads of pods.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use harness::{Error, Result};
use jiff::Timestamp;
use kafka_assignors::Topics;
use rebalancer_core::decide;
use rebalancer_core::handover::HandoverPlan;
use rebalancer_core::model::{Load, Percent, Pod, Tolerance, WorkloadRef};
use rebalancer_core::policy::{Policy, Strategy};
use rebalancer_core::ports::{GroupObservation, LoadObservation, LoadSample, WorkloadObservation};
use rebalancer_core::snapshot::{AssembleSettings, GroupSettings, Snapshot, assemble};

use super::Owners;
use crate::failed;

/// A plan, and its expected effect.
pub(super) struct Planned {
    pub(super) plan: HandoverPlan,
    /// The highest load as a multiple of the mean, now and expected.
    pub(super) imbalance: [f64; 2],
}

/// Computes the plan, as a run does that acts on any imbalance and any improvement. `loads` are the
/// loads of the pods in cores, by the client id of their consumer.
pub(super) fn plan(
    observation: GroupObservation,
    loads: &BTreeMap<String, f64>,
    observed_at: Duration,
) -> Result<Planned> {
    let snapshot = snapshot(observation, loads)?;
    let policy = Policy {
        strategy: Strategy::Assign,
        imbalance_tolerance: Some(Tolerance::new(1.0).map_err(problem)?),
        minimum_improvement_percent: Percent::new(0.0).map_err(problem)?,
        ..Policy::default()
    };
    let decision = decide(&snapshot, &policy);
    let (Some(assignment), Some(group)) = (decision.assignment(), &decision.group) else {
        return Err(problem(decision.message));
    };
    let expected = group.assignment.as_ref();
    Ok(Planned {
        plan: HandoverPlan::new(&snapshot, assignment, observed_at).map_err(problem)?,
        imbalance: [
            group.peak_to_mean,
            expected.map_or(group.peak_to_mean, |expected| expected.peak_to_mean),
        ],
    })
}

fn snapshot(observation: GroupObservation, loads: &BTreeMap<String, f64>) -> Result<Snapshot> {
    let samples = loads.iter().map(|(pod, load)| {
        let load = Load::new(*load).map_err(problem)?;
        Ok(LoadSample::new(pod.clone(), load))
    });
    let samples: Vec<LoadSample> = samples.collect::<Result<_>>()?;
    let settings = AssembleSettings {
        group: Some(GroupSettings::default()),
        ..AssembleSettings::new(WorkloadRef::default(), "consumer", None)
    };
    let pods = loads.keys().map(Pod::new).collect();
    let workload = WorkloadObservation::new(Timestamp::now(), pods);
    let loads = LoadObservation::complete(samples);
    let assembled = assemble(&settings, loads, workload, Vec::new(), Some(observation));
    Ok(assembled.map_err(problem)?.snapshot)
}

fn problem(message: impl Display) -> Error {
    failed("the plan of a hand-over", message)
}

/// The owners in the plan's target.
pub(super) fn planned_owners(plan: &HandoverPlan) -> Owners {
    let target = plan.target().map_or(&plan.current, |target| &target.owners);
    let by_member = target.by_member(plan.members.len());
    let members = plan.members.iter().zip(by_member);
    members
        .map(|(member, partitions)| {
            let partitions = partitions.into_iter();
            let partitions = partitions.filter_map(|partition| name(&plan.topics, partition));
            (member.client_id.clone(), partitions.collect())
        })
        .collect()
}

fn name(topics: &Topics, partition: kafka_assignors::PartitionIndex) -> Option<(String, u32)> {
    let (topic, number) = topics.locate(partition)?;
    Some((topics.name(topic).to_owned(), u32::try_from(number).ok()?))
}
