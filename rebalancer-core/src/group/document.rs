//! The consumer group in a snapshot, in terms of names.

use std::collections::{BTreeMap, HashMap, HashSet};

use kafka_assignors::{Assignor, ClientFamily, Protocol};
use serde::{Deserialize, Serialize};

use super::recognise::{Knowledge, KnownAssignor};
use super::state::{GroupKind, GroupState};
use crate::model::{Rate, Seconds};

/// The consumer group of a workload, as far as it is known.
///
/// In JSON every field is optional. The smallest document that a forecast can use has owners:
/// `{"topics": {"orders": {"owners": ["pod-a", "pod-b", "pod-a"]}}}`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GroupDocument {
    /// `group.id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The assignor; if absent, it is recognised from the owners or assumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignor: Option<Assignor>,
    /// The client library (default java).
    pub client: ClientFamily,
    /// The group protocol (default classic).
    pub protocol: Protocol,
    /// The members; if absent, each ready pod is one, by its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberDocument>,
    /// The topics that the group consumes, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, TopicDocument>,
    /// The unit of the rates for display: `records/s`, `bytes/s`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_unit: Option<String>,
    /// Why owners or rates are incomplete; if absent, they are complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// Partitions whose offset went back within the window of the rates; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offsets_went_back: Option<OffsetsWentBackDocument>,
    /// Partitions whose lag is larger than the records that arrived within the window of the rates;
    /// absent if there is none, or if the lags are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catching_up: Option<CatchingUpDocument>,
    /// The group as its brokers describe it; absent if the data comes from metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub described: Option<DescribedDocument>,
    /// Remarks about the data that do not make it incomplete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The number of partitions that changed their owner within the cooldown.
    #[serde(skip_serializing_if = "crate::serialization::is_zero")]
    pub moved_lately: usize,
    /// `session.timeout.ms` of static members in seconds (default 45, as in Kafka).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_timeout_seconds: Option<Seconds>,
    /// Whether a run removes the static members of evicted pods whose replacements have another
    /// `group.instance.id`, once the pod is gone (default false).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removes_static_members: bool,
}

impl GroupDocument {
    /// Kafka's default `session.timeout.ms`, in seconds.
    pub const DEFAULT_SESSION_TIMEOUT_SECONDS: f64 = 45.0;
}

/// Partitions whose rates are wrong, because their offset went back within the window of the rates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OffsetsWentBackDocument {
    /// The partitions, such as `orders-3`.
    pub partitions: Vec<String>,
    /// The window of the rates, in seconds.
    pub window_seconds: Seconds,
}

/// Partitions whose consumers are behind: the lag is larger than the records that arrived within
/// the window of the rates. Their rates are not what their consumers process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CatchingUpDocument {
    /// The partitions, such as `orders-3`.
    pub partitions: Vec<String>,
    /// The sum of their lags, in records.
    pub lag: u64,
    /// The window of the rates, in seconds.
    pub window_seconds: Seconds,
}

/// A group as its brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DescribedDocument {
    /// The type of the group: `classic`, `consumer` (KIP-848), or another one.
    pub kind: GroupKind,
    /// The state of the group, such as `Stable` or `PreparingRebalance`.
    pub state: GroupState,
    /// The protocol type: `consumer` for consumers, `connect` for Kafka Connect.
    pub protocol_type: String,
    /// The assignor, by the name that Kafka uses; absent while the group has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignor: Option<String>,
    /// The client library, if the metadata of every member shows the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientFamily>,
    /// The number of members that use the classic protocol in a group of KIP-848.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub classic_members: usize,
    /// Whether the brokers remove members of a group of KIP-848 on request, as Kafka does from 4.0
    /// on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removable_members: bool,
    /// The heartbeat interval of the members of a group of KIP-848, in seconds; absent if it was
    /// not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_seconds: Option<Seconds>,
    /// The number of members whose assignment carries user data other than that of sticky
    /// assignors: the assignor of the group communicates more than partitions.
    #[serde(default, skip_serializing_if = "crate::serialization::is_zero")]
    pub assignments_with_user_data: usize,
    /// The members that do not run in a pod of the workload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside_members: Vec<OutsideMember>,
    /// The ready pods of the workload without a member in the group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods_without_member: Vec<String>,
    /// The id of the Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
}

/// A member of the group that does not run in a pod of the workload.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OutsideMember {
    /// The member id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `client.id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `group.instance.id` of a static member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The address of the member's host, as the broker sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The partitions that it owns, such as `orders-3`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<String>,
}

/// A member of the group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MemberDocument {
    /// The name of the pod that the member runs in.
    pub pod: String,
    /// The name by which owners refer to the member, if a pod has several; defaults to the pod's
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
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
    /// The rack of the member (`client.rack`); absent if it sends none. librdkafka sends an empty
    /// one by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// The topics that the member subscribes to; if absent, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
}

impl MemberDocument {
    /// The name by which owners refer to the member: its own, else the name of its pod.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.pod)
    }
}

/// A topic of the group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TopicDocument {
    /// The owner of each partition from 0 on, by the name of the member (its `name`, else its
    /// `pod`); null for an unowned partition.
    pub owners: Vec<Option<String>>,
    /// The rate of each partition from 0 on, in records or bytes per second; unknown if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Vec<Rate>>,
    /// The lag of each partition from 0 on, in records; null for a partition without a committed
    /// offset; unknown if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lags: Option<Vec<Option<u64>>>,
    /// The racks of the replicas of each partition from 0 on; absent if the brokers have no racks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_racks: Option<Vec<Vec<String>>>,
}

/// A contradiction within a group document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGroup {
    /// Two members have the same name.
    #[error("the group has two members named `{name}`: give each member a unique `name`")]
    DuplicateMember {
        /// The name.
        name: String,
    },
    /// An owner is not a member.
    #[error(
        "the owner of partition {topic}-{partition} is `{owner}`, which is not a member of the group: \
         name owners by a member's `name`, or by its `pod` if it has no name"
    )]
    UnknownOwner {
        /// The topic.
        topic: String,
        /// The partition number.
        partition: usize,
        /// The owner.
        owner: String,
    },
    /// A topic has more or fewer rates than partitions.
    #[error(
        "topic `{topic}` has {owners} owners and {rates} rates: list one of each for every partition"
    )]
    Rates {
        /// The topic.
        topic: String,
        /// The number of owners.
        owners: usize,
        /// The number of rates.
        rates: usize,
    },
    /// A topic has more or fewer lags or racks than partitions.
    #[error(
        "topic `{topic}` has {owners} owners and {entries} {of}: list one entry for every partition"
    )]
    PerPartition {
        /// The topic.
        topic: String,
        /// The name of the list.
        of: &'static str,
        /// The number of owners.
        owners: usize,
        /// The number of entries.
        entries: usize,
    },
    /// Some topics have rates and others do not.
    #[error(
        "topic `{without}` has no rates but `{with}` does: list rates for all topics or for none"
    )]
    SomeRates {
        /// A topic without rates.
        without: String,
        /// A topic with rates.
        with: String,
    },
    /// A member subscribes to a topic that is not in the document.
    #[error(
        "member `{member}` subscribes to `{topic}`, which is not among the topics of the group"
    )]
    UnknownTopic {
        /// The member.
        member: String,
        /// The topic.
        topic: String,
    },
}

impl GroupDocument {
    /// The number of partitions of each pod that owns any, by the name of the pod.
    pub(crate) fn partitions_of_pods(&self) -> HashMap<&str, usize> {
        let pods: HashMap<&str, &str> = self
            .members
            .iter()
            .map(|member| (member.name(), member.pod.as_str()))
            .collect();
        let mut partitions = HashMap::new();
        for owner in self
            .topics
            .values()
            .flat_map(|topic| topic.owners.iter().flatten())
        {
            let pod = pods.get(owner.as_str()).copied().unwrap_or(owner);
            *partitions.entry(pod).or_insert(0) += 1;
        }
        partitions
    }

    /// The assignor that the operator set or the brokers report; `None` if neither names a known
    /// one.
    #[must_use]
    pub fn known_assignor(&self) -> Option<KnownAssignor> {
        let assignor = self.assignor?;
        let described = self.described.as_ref();
        let reported = described.and_then(|described| described.assignor.as_deref());
        let known = if reported == Some(assignor.as_str()) {
            Knowledge::Reported
        } else {
            Knowledge::Set
        };
        Some(KnownAssignor { assignor, known })
    }

    /// Whether the document lists owners of partitions.
    #[must_use]
    pub fn has_owners(&self) -> bool {
        self.topics.values().any(|topic| !topic.owners.is_empty())
    }

    /// Adds the default members, one per pod of `pods`, if the document lists none.
    pub(crate) fn complete(&mut self, pods: impl Iterator<Item = String>) {
        if self.members.is_empty() && self.has_owners() {
            self.members = pods
                .map(|pod| MemberDocument {
                    pod,
                    ..MemberDocument::default()
                })
                .collect();
        }
    }

    /// Checks that names are unique and refer to existing members and topics.
    ///
    /// # Errors
    /// The first contradiction, in the order of members and topics.
    pub(crate) fn validate(&self) -> Result<(), InvalidGroup> {
        let mut names = HashSet::with_capacity(self.members.len());
        for member in &self.members {
            if !names.insert(member.name()) {
                return Err(InvalidGroup::DuplicateMember {
                    name: member.name().to_owned(),
                });
            }
            for topic in member.topics.iter().flatten() {
                if !self.topics.contains_key(topic) {
                    return Err(InvalidGroup::UnknownTopic {
                        member: member.name().to_owned(),
                        topic: topic.clone(),
                    });
                }
            }
        }
        let mut topic_with_rates: HashMap<bool, &str> = HashMap::new();
        for (name, topic) in &self.topics {
            for (partition, owner) in topic.owners.iter().enumerate() {
                if let Some(owner) = owner
                    && !names.contains(owner.as_str())
                {
                    return Err(InvalidGroup::UnknownOwner {
                        topic: name.clone(),
                        partition,
                        owner: owner.clone(),
                    });
                }
            }
            if let Some(rates) = &topic.rates
                && rates.len() != topic.owners.len()
            {
                return Err(InvalidGroup::Rates {
                    topic: name.clone(),
                    owners: topic.owners.len(),
                    rates: rates.len(),
                });
            }
            let lists = [
                ("lags", topic.lags.as_ref().map(Vec::len)),
                ("replica_racks", topic.replica_racks.as_ref().map(Vec::len)),
            ];
            for (of, entries) in lists {
                if let Some(entries) = entries.filter(|entries| *entries != topic.owners.len()) {
                    return Err(InvalidGroup::PerPartition {
                        topic: name.clone(),
                        of,
                        owners: topic.owners.len(),
                        entries,
                    });
                }
            }
            topic_with_rates.insert(topic.rates.is_some(), name);
        }
        if let (Some(with), Some(without)) =
            (topic_with_rates.get(&true), topic_with_rates.get(&false))
        {
            return Err(InvalidGroup::SomeRates {
                without: (*without).to_owned(),
                with: (*with).to_owned(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    /// Reads and completes a document for the pods `a` and `b`.
    fn document(value: Value) -> Result<GroupDocument, String> {
        let mut document: GroupDocument =
            serde_json::from_value(value).map_err(|error| error.to_string())?;
        document.complete(["a", "b"].map(String::from).into_iter());
        match document.validate() {
            Ok(()) => Ok(document),
            Err(error) => Err(error.to_string()),
        }
    }

    #[rstest]
    #[case(
        json!({"topics": {"t": {"owners": ["c"]}}}),
        "the owner of partition t-0 is `c`, which is not a member"
    )]
    #[case(
        json!({"topics": {"t": {"owners": ["a", "b"], "rates": [1]}}}),
        "topic `t` has 2 owners and 1 rates"
    )]
    #[case(
        json!({"topics": {"t": {"owners": ["a"], "rates": [1]}, "u": {"owners": ["a"]}}}),
        "topic `u` has no rates but `t` does"
    )]
    #[case(
        json!({"topics": {"t": {"owners": ["a"], "rates": [-1]}}}),
        "-1 is not a valid rate"
    )]
    #[case(
        json!({"members": [{"pod": "a"}, {"pod": "a"}]}),
        "the group has two members named `a`"
    )]
    #[case(
        json!({"members": [{"pod": "a", "topics": ["u"]}], "topics": {"t": {"owners": ["a"]}}}),
        "member `a` subscribes to `u`"
    )]
    #[case(json!({"assignor": "random"}), "unknown variant `random`")]
    #[case(
        json!({"topics": {"t": {"owners": ["a", "b"], "lags": [1]}}}),
        "topic `t` has 2 owners and 1 lags"
    )]
    #[case(
        json!({"topics": {"t": {"owners": ["a"], "replica_racks": []}}}),
        "topic `t` has 1 owners and 0 replica_racks"
    )]
    fn rejects_contradictions(#[case] group: Value, #[case] expected: &str) {
        let error = document(group).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn members_default_to_the_pods() {
        let group = document(json!({"topics": {"t": {"owners": ["a", null]}}})).unwrap();
        let members: Vec<&str> = group.members.iter().map(MemberDocument::name).collect();
        assert_eq!(members, ["a", "b"]);
        assert!(group.has_owners());
    }
}
