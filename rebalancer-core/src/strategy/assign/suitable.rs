//! Whether a group can be given an assignment, by what its brokers report.

use crate::group::{
    AssignProblem, ClientFamily, DescribedDocument, GroupDocument, GroupKind, GroupModel,
};

/// The families that the members' client may belong to: the one that their metadata shows, else all.
/// A setting of the operator does not count, because a wrong one would be trusted with a proof.
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
    let Some(described) = &document.described else {
        return Err(AssignProblem::NotDescribed);
    };
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
    // The members use what the brokers report, whatever the operator has configured.
    let reported = described.assignor.as_deref().unwrap_or_default();
    if reported != group.assignor.assignor.as_str() {
        return Err(AssignProblem::UnknownAssignor {
            name: reported.to_owned(),
        });
    }
    AssignProblem::check(group.protocol, group.assignor.assignor)?;
    if described.assignments_with_user_data > 0 {
        return Err(AssignProblem::UserData {
            members: described.assignments_with_user_data,
        });
    }
    if document.members.iter().any(|member| member.id.is_none()) {
        return Err(AssignProblem::NotDescribed);
    }
    if let Some(first) = described.pods_without_member.first() {
        return Err(AssignProblem::PodsWithoutMember {
            pods: described.pods_without_member.len(),
            example: first.clone(),
        });
    }
    if let Some(problem) = AssignProblem::different_subscriptions(&group.members) {
        return Err(problem);
    }
    if group.rates.is_none() {
        return Err(AssignProblem::NoRates);
    }
    Ok(described)
}

/// The beginning of the cluster ids of Redpanda, which elects another leader than Kafka.
const REDPANDA: &str = "redpanda.";
