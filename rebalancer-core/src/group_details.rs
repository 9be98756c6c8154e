//! The consumer group as it was observed: members with their pods, partitions with their owners.
//!
//! Unlike the [`GroupModel`](crate::group::GroupModel), it exists for a group that cannot be
//! modelled too, and says why.

use std::collections::{BTreeMap, HashMap, HashSet};

use kafka_assignors::{ClientFamily, Protocol};
use serde::{Deserialize, Serialize};

use crate::group::{GroupDocument, GroupProblem, KnownAssignor, OutsideMember};
use crate::model::Load;
use crate::snapshot::Snapshot;

/// The consumer group of a workload as it was observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupDetails {
    /// `group.id`, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The source of the group.
    pub source: GroupOrigin,
    /// The type of the group, such as `classic`; absent with metrics, which do not report it.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub group_type: Option<String>,
    /// The state of the group, such as `Stable`; absent with metrics, which do not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The protocol type, such as `consumer`; absent with metrics, which do not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_type: Option<String>,
    /// The assignor, by the name that the brokers report; absent with metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_assignor: Option<String>,
    /// The assignor that forecasts use, and the source of this knowledge; absent if the group
    /// cannot be modelled and neither the operator nor the brokers name a known one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignor: Option<KnownAssignor>,
    /// The client library.
    pub client: ClientFamily,
    /// The group protocol.
    pub protocol: Protocol,
    /// The id of the Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The unit of the rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_unit: Option<String>,
    /// The sum of the rates of all partitions; absent if they are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The sum of the known lags, in records; absent if the source reports no lags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// The members in pods of the workload, by the load of the pod, highest first.
    pub members: Vec<MemberDetails>,
    /// The members that do not run in a pod of the workload; empty with metrics, which do not show
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside_members: Vec<OutsideMember>,
    /// The ready pods without a member in the group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods_without_member: Vec<String>,
    /// The partitions, by topic and number.
    pub partitions: Vec<PartitionDetails>,
    /// Remarks about the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why no forecast can be made for the group; absent if one can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ReportedProblem>,
}

/// The source of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GroupOrigin {
    /// The brokers described the group.
    Kafka,
    /// Metrics, or a snapshot without a description of the group by its brokers.
    Metrics,
}

/// A problem of a group with its message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportedProblem {
    /// The problem, with its numbers.
    #[serde(flatten)]
    pub problem: GroupProblem,
    /// The message.
    pub message: String,
}

/// A member of the group in a pod of the workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberDetails {
    /// The pod that the member runs in.
    pub pod: String,
    /// The name by which owners refer to the member: the pod's name, unless the pod has several.
    pub name: String,
    /// The member id, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `client.id`, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `group.instance.id` of a static member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The address of the member's host, as the broker sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The rack of the member (`client.rack`); absent if it sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// The topics that the member subscribes to; absent if all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// The load of the pod; absent if it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_load: Option<Load>,
    /// The number of partitions that the member owns.
    pub partitions: usize,
    /// The sum of their rates; absent if they are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The sum of their known lags, in records; absent if the source reports no lags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// The number of its partitions whose lag is larger than what arrived within the window.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub behind: usize,
}

/// A partition of the group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PartitionDetails {
    /// The topic.
    pub topic: String,
    /// The number.
    pub partition: usize,
    /// The name of the member that owns it; null if no member of the workload does.
    pub owner: Option<String>,
    /// The rate; absent if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The lag in records; absent if the source reports none, or without a committed offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Whether the lag is larger than what arrived within the window.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
}

/// The sums over partitions.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    partitions: usize,
    rate: f64,
    lag: u64,
    behind: usize,
}

impl Sums {
    fn add(&mut self, partition: &PartitionDetails) {
        self.partitions += 1;
        self.rate += partition.rate.unwrap_or(0.0);
        self.lag = self.lag.saturating_add(partition.lag.unwrap_or(0));
        self.behind += usize::from(partition.behind);
    }
}

impl GroupDetails {
    /// The consumer group of a snapshot; `None` if it has none.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Option<Self> {
        let document = snapshot.data().group.as_ref()?;
        let described = document.described.as_ref();
        let model = snapshot.group_model();
        let partitions = partitions(document);
        let has_rates = partitions.iter().any(|partition| partition.rate.is_some());
        let has_lags = document.topics.values().any(|topic| topic.lags.is_some());
        let mut all = Sums::default();
        let mut of_owner: BTreeMap<&str, Sums> = BTreeMap::new();
        for partition in &partitions {
            all.add(partition);
            if let Some(owner) = &partition.owner {
                of_owner.entry(owner).or_default().add(partition);
            }
        }
        let loads: HashMap<&str, Load> = snapshot
            .pods()
            .iter()
            .filter_map(|pod| Some((pod.name.as_str(), pod.load()?)))
            .collect();
        let mut members: Vec<MemberDetails> = document
            .members
            .iter()
            .map(|member| {
                let sums = of_owner.get(member.name()).copied().unwrap_or_default();
                MemberDetails {
                    pod_load: loads.get(member.pod.as_str()).copied(),
                    partitions: sums.partitions,
                    rate: has_rates.then_some(sums.rate),
                    lag: has_lags.then_some(sums.lag),
                    behind: sums.behind,
                    pod: member.pod.clone(),
                    name: member.name().to_owned(),
                    id: member.id.clone(),
                    client_id: member.client_id.clone(),
                    instance: member.instance.clone(),
                    host: member.host.clone(),
                    rack: member.rack.clone(),
                    topics: member.topics.clone(),
                }
            })
            .collect();
        members.sort_by(|a, b| {
            let by_load = b.pod_load.cmp(&a.pod_load);
            by_load.then_with(|| a.name.cmp(&b.name))
        });
        Some(Self {
            id: document.id.clone(),
            source: if described.is_some() {
                GroupOrigin::Kafka
            } else {
                GroupOrigin::Metrics
            },
            group_type: described.map(|described| described.kind.to_string()),
            state: described.map(|described| described.state.to_string()),
            protocol_type: described.map(|described| described.protocol_type.clone()),
            reported_assignor: described.and_then(|described| described.assignor.clone()),
            assignor: model
                .as_ref()
                .ok()
                .map(|model| model.assignor)
                .or_else(|| document.known_assignor()),
            client: document.client,
            protocol: document.protocol,
            cluster_id: described.and_then(|described| described.cluster_id.clone()),
            rate_unit: document.rate_unit.clone(),
            rate: has_rates.then_some(all.rate),
            lag: has_lags.then_some(all.lag),
            outside_members: described
                .map_or_else(Vec::new, |described| described.outside_members.clone()),
            pods_without_member: described
                .map_or_else(Vec::new, |described| described.pods_without_member.clone()),
            members,
            partitions,
            notes: document.notes.clone(),
            problem: model.err().map(|problem| ReportedProblem {
                message: problem.to_string(),
                problem,
            }),
        })
    }
}

fn partitions(document: &GroupDocument) -> Vec<PartitionDetails> {
    let behind = document.catching_up.iter();
    let behind: HashSet<&str> = behind
        .flat_map(|behind| &behind.partitions)
        .map(String::as_str)
        .collect();
    let mut partitions = Vec::new();
    for (name, topic) in &document.topics {
        for (number, owner) in topic.owners.iter().enumerate() {
            let rate = topic.rates.as_ref().and_then(|rates| rates.get(number));
            let lag = topic.lags.as_ref().and_then(|lags| lags.get(number));
            partitions.push(PartitionDetails {
                topic: name.clone(),
                partition: number,
                owner: owner.clone(),
                rate: rate.map(|rate| rate.get()),
                lag: lag.copied().flatten(),
                behind: behind.contains(format!("{name}-{number}").as_str()),
            });
        }
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn details(group: &serde_json::Value) -> GroupDetails {
        let snapshot = json!({
            "pods": [{"name": "a", "load": 0.5}, {"name": "b", "load": 0.9}, {"name": "c"}],
            "group": group,
        });
        let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
        GroupDetails::of(&snapshot).unwrap()
    }

    #[test]
    fn members_have_the_sums_of_their_partitions() {
        let found = details(&json!({
            "id": "orders",
            "members": [{"pod": "a"}, {"pod": "b"}, {"pod": "c"}],
            "topics": {"t": {
                "owners": ["a", "b", "a", null],
                "rates": [1.0, 2.0, 4.0, 8.0],
                "lags": [10, null, 5, 100],
            }},
            "catching_up": {"partitions": ["t-2"], "lag": 5, "window_seconds": 1},
        }));
        let members: Vec<_> = found
            .members
            .iter()
            .map(|m| (m.pod.as_str(), m.partitions, m.rate, m.lag, m.behind))
            .collect();
        assert_eq!(
            members,
            [
                ("b", 1, Some(2.0), Some(0), 0),
                ("a", 2, Some(5.0), Some(15), 1),
                ("c", 0, Some(0.0), Some(0), 0),
            ]
        );
        assert_eq!((found.rate, found.lag), (Some(15.0), Some(115)));
        assert_eq!(found.partitions[3].owner, None);
        assert!(found.partitions[2].behind && !found.partitions[0].behind);
        let problem = found.problem.unwrap();
        assert!(
            problem.message.contains("1 partition has no owner"),
            "{problem:?}"
        );
    }

    #[test]
    fn group_of_the_brokers_is_shown_even_if_it_rebalances() {
        let found = details(&json!({
            "described": {
                "kind": "classic", "state": "PreparingRebalance", "protocol_type": "consumer",
                "assignor": "sticky",
                "outside_members": [{"client_id": "x", "partitions": ["t-0"]}],
            },
            "assignor": "sticky",
            "members": [{"pod": "a"}],
            "topics": {"t": {"owners": [null]}},
        }));
        assert_eq!(found.source, GroupOrigin::Kafka);
        assert_eq!(found.state.as_deref(), Some("PreparingRebalance"));
        assert_eq!(found.outside_members.len(), 1);
        assert_eq!((found.rate, found.lag), (None, None));
        let assignor = found.assignor.unwrap().to_string();
        assert_eq!(assignor, "sticky (as the brokers report)");
        assert_eq!(
            found.problem.unwrap().problem,
            GroupProblem::NotStable {
                state: "PreparingRebalance".into()
            }
        );
    }

    #[test]
    fn snapshot_without_a_group_has_no_details() {
        let snapshot: Snapshot = serde_json::from_value(json!({"pods": []})).unwrap();
        assert_eq!(GroupDetails::of(&snapshot), None);
    }
}
