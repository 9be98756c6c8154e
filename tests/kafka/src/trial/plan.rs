//! The plan of a hand-over, as a run computes it: from the observation of the group by the Kafka
//! adapter, and the loads of pods.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use harness::{Error, Result};
use jiff::Timestamp;
use kafka_assignors::coordinator_order::CoordinatorFamily;
use kafka_assignors::{ClientFamily, Topics};
use rebalancer_core::forecast::Attribution;
use rebalancer_core::handover::{HandoverMember, HandoverPlan, RebalanceProtocol};
use rebalancer_core::model::{Load, Pod, WorkloadRef};
use rebalancer_core::ports::{
    DescribedGroup, GroupObservation, LoadObservation, LoadSample, WorkloadObservation,
};
use rebalancer_core::snapshot::{AssembleSettings, GroupSettings, Snapshot, assemble};
use rebalancer_core::strategy::assign::{Target, target};

use super::Owners;
use crate::failed;

/// The highest load that is not hot, as a multiple of the mean load.
const ENOUGH: f64 = 1.1;

/// A plan, and its expected effect.
pub(super) struct Planned {
    pub(super) plan: HandoverPlan,
    pub(super) target: Target,
}

/// Computes the plan. `loads` are the loads of the pods in cores, by the client id of their consumer.
pub(super) fn plan(
    observation: GroupObservation,
    loads: &BTreeMap<String, f64>,
    observed_at: Duration,
) -> Result<Planned> {
    let described = observation.described.clone();
    let described = described.ok_or_else(|| problem("the group is not described"))?;
    let snapshot = snapshot(observation, loads)?;
    let model = snapshot.group_model().map_err(problem)?;
    let pods = model.pods.iter().map(|pod| snapshot.pods().get(pod.get()));
    let measured: Vec<Option<f64>> = pods.map(|pod| Some(pod?.load()?.get())).collect();
    let attribution = Attribution::new(&measured, &model.pod_owners(), model.rates.as_deref());
    let mean = loads.values().sum::<f64>() / loads.values().map(|_| 1.0).sum::<f64>();
    let target =
        target(&model, &attribution, &clients(&described), ENOUGH * mean).map_err(problem)?;
    let members = model.members.iter().map(|member| {
        let mut known = described.members.iter();
        let known = known.find(|known| known.labels.member_id.as_deref() == Some(&*member.id));
        known
            .map(HandoverMember::of)
            .ok_or_else(|| problem(format!("member {} is not described", member.id)))
    });
    let plan = HandoverPlan {
        assignor: described.assignor.clone().unwrap_or_default(),
        protocol: match described.assignor.as_deref() {
            Some("sticky") => RebalanceProtocol::Eager,
            Some(_) | None => RebalanceProtocol::Cooperative,
        },
        loads: attribution.partitions,
        members: members.collect::<Result<_>>()?,
        topics: model.topics,
        current: model.owners,
        target: target.assignment.clone(),
        coordinators: CoordinatorFamily::ALL.to_vec(),
        sticky_user_data: members_have_user_data(&described),
        observed_at,
    };
    Ok(Planned { plan, target })
}

/// Whether the assignments of the members carry the user data of sticky assignors.
fn members_have_user_data(described: &DescribedGroup) -> bool {
    let mut members = described.members.iter();
    members.any(|member| member.has_assignment_user_data)
}

/// The families that the client may belong to.
fn clients(described: &DescribedGroup) -> Vec<ClientFamily> {
    let known = described.members.first().and_then(|member| member.client);
    known.map_or_else(
        || vec![ClientFamily::Java, ClientFamily::Librdkafka],
        |client| vec![client],
    )
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
    let by_member = plan.target.by_member(plan.members.len());
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
