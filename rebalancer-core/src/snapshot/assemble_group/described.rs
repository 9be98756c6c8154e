//! A group that its brokers describe: the members that run elsewhere, and what the brokers report
//! about the group itself.

use std::collections::BTreeSet;

use super::GroupSettings;
use super::missing::Missing;
use crate::group::{
    Assignor, ClientFamily, DescribedDocument, GroupDocument, GroupKind, OutsideMember, Protocol,
};
use crate::model::Seconds;
use crate::ports::{DescribedGroup, DescribedMember};
use crate::wording::plural;

/// The number of items that a message lists.
const LISTED: usize = 3;

/// The properties of the group itself, as the brokers report them.
pub(super) fn document(
    described: &DescribedGroup,
    outside_members: Vec<OutsideMember>,
    pods_without_member: Vec<String>,
    heartbeat: Option<Seconds>,
) -> DescribedDocument {
    let count = |is_counted: fn(&DescribedMember) -> bool| {
        let members = described.members.iter();
        members.filter(|member| is_counted(member)).count()
    };
    DescribedDocument {
        kind: described.kind.clone(),
        state: described.state.clone(),
        protocol_type: described.protocol_type.clone(),
        assignor: described.assignor.clone(),
        client: client(&described.members),
        classic_members: count(|member| member.classic_in_consumer_group),
        removable_members: described.removable_members,
        heartbeat_seconds: heartbeat,
        assignments_with_user_data: count(|member| member.has_assignment_user_data),
        outside_members,
        pods_without_member,
        cluster_id: described.cluster_id.clone(),
    }
}

/// The client library of the members; `None` if it is unknown for one of them, or if they differ.
fn client(members: &[DescribedMember]) -> Option<ClientFamily> {
    let (first, others) = members.split_first()?;
    let client = first.client?;
    let is_same = |member: &DescribedMember| member.client == Some(client);
    others.iter().all(is_same).then_some(client)
}

/// Applies the settings of the operator and the description of the brokers: a setting overrides
/// what the brokers report, and a note says where they differ.
pub(super) fn resolve(
    group: &mut GroupDocument,
    settings: &GroupSettings,
    described: &DescribedDocument,
) {
    let reported = described.assignor.as_deref();
    let known = Assignor::ALL
        .into_iter()
        .find(|assignor| Some(assignor.as_str()) == reported);
    group.assignor = settings.assignor.or(known);
    if let (Some(set), Some(reported)) = (settings.assignor, reported)
        && set.as_str() != reported
    {
        group
            .notes
            .push(overridden("assignor", set.as_str(), reported));
    }
    let protocol = match described.kind {
        GroupKind::Classic => Some(Protocol::Classic),
        GroupKind::Consumer => Some(Protocol::Consumer),
        GroupKind::Other(_) => None,
    };
    group.protocol = settings.protocol.or(protocol).unwrap_or_default();
    if let (Some(set), Some(reported)) = (settings.protocol, protocol)
        && set != reported
    {
        group
            .notes
            .push(overridden("protocol", set.as_str(), reported.as_str()));
    }
    group.client = settings.client.or(described.client).unwrap_or_default();
    if let (Some(set), Some(reported)) = (settings.client, described.client)
        && set != reported
    {
        group
            .notes
            .push(overridden("client", set.as_str(), reported.as_str()));
    }
    if described.classic_members > 0 {
        group.notes.push(format!(
            "members that use the classic protocol in this group of KIP-848: {}; a migration \
             between the protocols is in progress",
            described.classic_members
        ));
    }
    if let Some(pods) = list(&described.pods_without_member) {
        group.notes.push(format!(
            "ready pods without a member in the group: {pods}; check their logs and their group id \
             if they do not join"
        ));
    }
}

fn overridden(what: &str, set: &str, reported: &str) -> String {
    format!(
        "the configured {what} is {set}, but the brokers report {reported}; the configured one is \
         used"
    )
}

/// Reports the members that run outside the workload, which makes the group not the workload's
/// alone.
///
/// A member whose pod ended without leaving the group (a lost node, a deletion by force) looks the
/// same until its session times out.
pub(super) fn report_outside_members(
    members: &[OutsideMember],
    session_timeout: Option<Seconds>,
    missing: &mut Missing,
) {
    let named: Vec<String> = members.iter().map(name).collect();
    if let Some(named) = list(&named) {
        let timeout =
            session_timeout.map_or(GroupDocument::DEFAULT_SESSION_TIMEOUT_SECONDS, f64::from);
        let default = if session_timeout.is_some() {
            ""
        } else {
            " by default"
        };
        missing.add(format!(
            "members that do not run in a pod of the workload: {named}; members of pods that are \
             gone expire with their session ({timeout} s{default}), and members of another \
             workload need a group of their own"
        ));
    }
}

/// The identity of a member for a message.
fn name(member: &OutsideMember) -> String {
    let id = member
        .instance
        .as_ref()
        .map(|instance| format!("instance id `{instance}`"))
        .or_else(|| {
            let client_id = member.client_id.as_ref()?;
            Some(format!("client id `{client_id}`"))
        })
        .or_else(|| Some(format!("member id `{}`", member.id.as_ref()?)));
    let host = member.host.as_ref();
    let host = host.map(|host| format!("host {}", host.trim_start_matches('/')));
    let parts: Vec<String> = id.into_iter().chain(host).collect();
    let partitions = member.partitions.len();
    let unit = plural(partitions, "partition", "partitions");
    format!("{} ({partitions} {unit})", parts.join(" at "))
}

/// The first items, and the number of others; `None` without an item.
pub(super) fn list(items: &[String]) -> Option<String> {
    let shown = items.iter().take(LISTED).map(String::as_str);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match items.len() {
        0 => None,
        count if count <= LISTED => Some(shown),
        count => Some(format!("{shown} and {} more", count - LISTED)),
    }
}

/// The topics of a member's subscription, as a document has them: `None` for all topics. `topics`
/// are those that exist.
pub(super) fn subscription(
    member: &DescribedMember,
    topics: &BTreeSet<&str>,
) -> Option<Vec<String>> {
    let subscribed = member.subscription.as_ref()?;
    let existing: Vec<String> = subscribed
        .iter()
        .filter(|topic| topics.contains(topic.as_str()))
        .cloned()
        .collect();
    (existing.len() < topics.len()).then_some(existing)
}
