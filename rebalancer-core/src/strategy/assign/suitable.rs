//! Whether a group can be given an assignment, or members of it can rejoin, by what its brokers
//! report.

use kafka_assignors::Algorithm;

use crate::group::{
    AssignProblem, ClientFamily, DescribedDocument, GroupDocument, GroupKind, GroupModel, Protocol,
};
use crate::policy::Policy;
use crate::snapshot::Snapshot;

/// The document of the consumer group.
pub(crate) fn described_document(snapshot: &Snapshot) -> Result<&GroupDocument, AssignProblem> {
    let document = snapshot.data().group.as_ref();
    document.ok_or(AssignProblem::NotDescribed)
}

/// The families that the members' client may belong to: the one that their metadata shows, else
/// all. A setting of the operator does not count, because a wrong one would be trusted with a
/// proof.
#[must_use]
pub fn clients(described: &DescribedDocument) -> Vec<ClientFamily> {
    described
        .client
        .map_or_else(|| ClientFamily::ALL.to_vec(), |client| vec![client])
}

/// Checks what the brokers report about a group, before a target is computed for it.
///
/// # Errors
/// The first reason why the group is given no assignment.
pub fn suitable<'a>(
    document: &'a GroupDocument,
    group: &GroupModel,
) -> Result<&'a DescribedDocument, AssignProblem> {
    let described = described(document)?;
    if described.kind != GroupKind::Classic {
        return Err(AssignProblem::ConsumerProtocol);
    }
    if described
        .cluster_id
        .as_deref()
        .is_some_and(|id| id.starts_with(REDPANDA))
    {
        return Err(AssignProblem::UnknownCoordinator {
            product: "Redpanda".into(),
        });
    }
    if let Some(name) = other_assignor(described, group) {
        return Err(AssignProblem::UnknownAssignor { name });
    }
    AssignProblem::check(group.protocol, group.assignor.assignor)?;
    if described.assignments_with_user_data > 0 {
        return Err(AssignProblem::UserData {
            members: described.assignments_with_user_data,
        });
    }
    all_members_known(document, described)?;
    if let Some(problem) = AssignProblem::different_subscriptions(&group.members) {
        return Err(problem);
    }
    if group.rates.is_none() {
        return Err(AssignProblem::NoRates);
    }
    Ok(described)
}

/// Checks what the brokers report about a group, before sets of members that rejoin are searched.
///
/// The group's own assignor deals the partitions again, so more groups are suitable than for an
/// assignment: any known assignor, any coordinator, racks, and different subscriptions. Groups of
/// the consumer protocol (KIP-848) are suitable only if the `policy` allows it.
///
/// # Errors
/// The first reason why no member of the group is removed.
pub fn can_rejoin(
    document: &GroupDocument,
    group: &GroupModel,
    policy: &Policy,
) -> Result<(), AssignProblem> {
    let described = described(document)?;
    match described.kind {
        GroupKind::Classic => {}
        GroupKind::Consumer if policy.rejoin_consumer_protocol => can_remove_consumers(described)?,
        GroupKind::Consumer | GroupKind::Other(_) => return Err(AssignProblem::DoubleProcessing),
    }
    if let Some(name) = other_assignor(described, group) {
        return Err(AssignProblem::AssignorNotModelled { name });
    }
    // The model follows a setting of the operator.
    let is_modelled = match group.protocol {
        Protocol::Classic => described.kind == GroupKind::Classic,
        Protocol::Consumer => described.kind == GroupKind::Consumer,
    };
    if !is_modelled {
        let name = format!(
            "{} of the {} protocol",
            group.assignor.assignor, described.kind
        );
        return Err(AssignProblem::AssignorNotModelled { name });
    }
    all_members_known(document, described)?;
    let algorithm = Algorithm::of(group.assignor.assignor, group.client, group.protocol);
    let mut members = group.members.iter();
    if members.all(|member| algorithm.claims_survive_removal(member.instance.is_some())) {
        return Err(AssignProblem::ClaimsKept {
            assignor: group.assignor.assignor,
            client: group.client,
        });
    }
    Ok(())
}

/// Checks whether the brokers remove members of a group of the consumer protocol (KIP-848), and
/// whether the group stays one.
///
/// # Errors
/// Why no member is removed.
pub(crate) fn can_remove_consumers(described: &DescribedDocument) -> Result<(), AssignProblem> {
    if described.classic_members > 0 {
        return Err(AssignProblem::MixedProtocols {
            members: described.classic_members,
        });
    }
    if !described.removable_members {
        return Err(AssignProblem::BrokerTooOld);
    }
    Ok(())
}

fn described(document: &GroupDocument) -> Result<&DescribedDocument, AssignProblem> {
    let described = document.described.as_ref();
    described.ok_or(AssignProblem::NotDescribed)
}

/// The name of the assignor that the brokers report, if it is another one than that of the model.
/// The members use what the brokers report, whatever the operator has configured.
fn other_assignor(described: &DescribedDocument, group: &GroupModel) -> Option<String> {
    let reported = described.assignor.as_deref().unwrap_or_default();
    (reported != group.assignor.assignor.as_str()).then(|| reported.to_owned())
}

/// Checks that the id of each member is known, and that each ready pod has a member.
fn all_members_known(
    document: &GroupDocument,
    described: &DescribedDocument,
) -> Result<(), AssignProblem> {
    if document.members.iter().any(|member| member.id.is_none()) {
        return Err(AssignProblem::NotDescribed);
    }
    match described.pods_without_member.first() {
        None => Ok(()),
        Some(first) => Err(AssignProblem::PodsWithoutMember {
            pods: described.pods_without_member.len(),
            example: first.clone(),
        }),
    }
}

/// The beginning of the cluster ids of Redpanda, which elects another leader than Kafka.
const REDPANDA: &str = "redpanda.";
