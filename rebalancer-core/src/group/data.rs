//! What a snapshot says about the consumer group.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use kafka_assignors::{Assignor, ClientFamily, Protocol};

use crate::model::{Rate, Seconds};

/// The consumer group of a workload, as far as it is known.
///
/// In JSON everything may be left out. The smallest one that a forecast can work with has owners:
/// `{"topics": {"orders": {"owners": ["pod-a", "pod-b", "pod-a"]}}}`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GroupData {
    /// `group.id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The assignor; when left out, it is recognised from the owners or assumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignor: Option<Assignor>,
    /// The client library (default java).
    pub client: ClientFamily,
    /// The group protocol (default classic).
    pub protocol: Protocol,
    /// The members; when left out, each ready pod is one, by its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<GroupMember>,
    /// The topics that the group consumes, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, GroupTopic>,
    /// What the rates count, for people: `records/s`, `bytes/s`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_unit: Option<String>,
    /// Why the owners or rates may lack something; complete when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// Partitions had other owners less than a cooldown ago: how many.
    #[serde(skip_serializing_if = "is_zero")]
    pub moved_lately: usize,
    /// `session.timeout.ms` of static members, in seconds (default 45, as Kafka's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_timeout_seconds: Option<Seconds>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A member of the group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupMember {
    /// The name of the pod that it runs in.
    pub pod: String,
    /// The name by which owners refer to it, where a pod has several members; the pod's own when
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its member id, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `client.id`, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `group.instance.id` of a static member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The topics that it subscribes to; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
}

impl GroupMember {
    /// The name by which owners refer to it: its own, else its pod's.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.pod)
    }
}

/// A topic of the group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupTopic {
    /// The owner of each partition from 0 on, by the name of the member (its `name`, else its
    /// `pod`); null for a partition that nobody owns.
    pub owners: Vec<Option<String>>,
    /// What arrives in each partition from 0 on, in records or bytes per second; not known when
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Vec<Rate>>,
}

/// A group that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGroup {
    /// Two members of one name.
    #[error("member `{name}` is in the group twice: give each a `name` of its own")]
    DuplicateMember {
        /// The name.
        name: String,
    },
    /// An owner that is no member.
    #[error(
        "partition {topic}-{partition} belongs to `{owner}`, which is no member of the group: owners are named by a member's `name`, else its `pod`"
    )]
    UnknownOwner {
        /// The topic.
        topic: String,
        /// The number of the partition.
        partition: usize,
        /// The owner.
        owner: String,
    },
    /// More or fewer rates than partitions.
    #[error(
        "topic `{topic}` has {owners} owners and {rates} rates: give one of each for every partition"
    )]
    Rates {
        /// The topic.
        topic: String,
        /// How many owners.
        owners: usize,
        /// How many rates.
        rates: usize,
    },
    /// Some topics have rates and some have not.
    #[error(
        "topic `{without}` has no rates while `{with}` has: give them for all topics or for none"
    )]
    SomeRates {
        /// A topic without.
        without: String,
        /// A topic with.
        with: String,
    },
    /// A subscription to a topic that the group does not have.
    #[error("member `{member}` subscribes to `{topic}`, which is no topic of the group")]
    UnknownTopic {
        /// The member.
        member: String,
        /// The topic.
        topic: String,
    },
}

impl GroupData {
    /// Whether the group says of whole topics who owns what.
    #[must_use]
    pub fn has_owners(&self) -> bool {
        self.topics.values().any(|topic| !topic.owners.is_empty())
    }

    /// Fills in the members that were left out: every pod of `pods`.
    pub(crate) fn complete(&mut self, pods: impl Iterator<Item = String>) {
        if self.members.is_empty() && self.has_owners() {
            self.members = pods
                .map(|pod| GroupMember {
                    pod,
                    ..GroupMember::default()
                })
                .collect();
        }
    }

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
        let mut with: HashMap<bool, &str> = HashMap::new();
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
            with.insert(topic.rates.is_some(), name);
        }
        if let (Some(with), Some(without)) = (with.get(&true), with.get(&false)) {
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
    use crate::Snapshot;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(
        json!({"topics": {"t": {"owners": ["c"]}}}),
        "partition t-0 belongs to `c`, which is no member"
    )]
    #[case(
        json!({"topics": {"t": {"owners": ["a", "b"], "rates": [1]}}}),
        "topic `t` has 2 owners and 1 rates"
    )]
    #[case(
        json!({"topics": {"t": {"owners": ["a"], "rates": [1]}, "u": {"owners": ["a"]}}}),
        "topic `u` has no rates while `t` has"
    )]
    #[case(
        json!({"topics": {"t": {"owners": ["a"], "rates": [-1]}}}),
        "-1 is not a valid rate"
    )]
    #[case(
        json!({"members": [{"pod": "a"}, {"pod": "a"}]}),
        "member `a` is in the group twice"
    )]
    #[case(
        json!({"members": [{"pod": "a", "topics": ["u"]}], "topics": {"t": {"owners": ["a"]}}}),
        "member `a` subscribes to `u`"
    )]
    #[case(json!({"assignor": "random"}), "unknown variant `random`")]
    fn nonsense_is_refused_with_what_is_wrong(
        #[case] group: serde_json::Value,
        #[case] expected: &str,
    ) {
        let snapshot = json!({"pods": [{"name": "a"}, {"name": "b"}], "group": group});
        let error = serde_json::from_value::<Snapshot>(snapshot).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn members_that_are_left_out_are_the_ready_pods() {
        let snapshot: Snapshot = serde_json::from_value(json!({
            "pods": [{"name": "a"}, {"name": "b", "ready": false}],
            "group": {"topics": {"t": {"owners": ["a", null]}}},
        }))
        .unwrap();
        let group = snapshot.data().group.as_ref().unwrap();
        let members: Vec<&str> = group.members.iter().map(GroupMember::name).collect();
        assert_eq!(members, ["a"]);
        assert!(group.has_owners());
    }
}
