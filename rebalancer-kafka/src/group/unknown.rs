//! A group of which the coordinator describes no members: one of another type, or an unknown one.

use std::collections::BTreeMap;

use rebalancer_core::ports::{DescribedGroup, GroupKind, GroupState};

use crate::cluster::{Cluster, call};
use crate::error::{Action, KafkaError};
use crate::messages::{ListGroups, ListedGroup};

/// The minimum similarity of a name, from 0 to 1, by Jaro and Winkler.
const SIMILAR: f64 = 0.8;
/// The maximum number of similar names.
const SHOWN: usize = 3;

/// Returns the group if it is of a type that cannot be described, such as `streams` or `share`.
///
/// # Errors
/// [`KafkaError::UnknownGroup`] if it does not exist, with the groups of similar name.
pub(crate) async fn of_other_type(
    cluster: &Cluster<'_>,
    group: &str,
) -> Result<DescribedGroup, KafkaError> {
    let mut groups = BTreeMap::new();
    for broker in &cluster.brokers {
        // A broker that is down hides the groups that it coordinates, which are not the one that is
        // searched for: its coordinator has answered.
        let Ok(mut connection) = cluster.broker(&broker.address).await else {
            continue;
        };
        let dialer = cluster.dialer();
        let listed = call(&mut connection, dialer, || Action::ListGroups, &ListGroups).await;
        if let Ok((error, listed)) = listed
            && error.is_none()
        {
            groups.extend(listed.into_iter().map(|one| (one.id.clone(), one)));
        }
    }
    if let Some(ListedGroup {
        protocol_type,
        state,
        group_type: Some(group_type),
        ..
    }) = groups.remove(group)
        && !matches!(
            group_type.to_ascii_lowercase().as_str(),
            "classic" | "consumer"
        )
    {
        return Ok(DescribedGroup {
            kind: GroupKind::Other(group_type.to_ascii_lowercase()),
            state: GroupState::Other(state),
            protocol_type,
            assignor: None,
            removable_members: false,
            members: Vec::new(),
            topics: Vec::new(),
            cluster_id: None,
        });
    }
    let names: Vec<String> = groups.into_keys().collect();
    Err(KafkaError::UnknownGroup {
        group: group.to_owned(),
        similar: similar(group, &names),
        visible: names.len(),
    })
}

/// The names that are similar to a name, the most similar first.
fn similar(name: &str, names: &[String]) -> Vec<String> {
    let lower = name.to_lowercase();
    let mut rated: Vec<(f64, &String)> = names
        .iter()
        .map(|other| (strsim::jaro_winkler(&lower, &other.to_lowercase()), other))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .collect();
    rated.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    rated
        .into_iter()
        .take(SHOWN)
        .map(|(_, name)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_found_and_ordered() {
        let names = ["orders", "Orders-v2", "payments", "order"].map(String::from);
        assert_eq!(similar("ordres", &names), ["orders", "order", "Orders-v2"]);
        assert_eq!(similar("x", &names), Vec::<String>::new());
    }
}
