//! The model of the consumer group of a snapshot.

use std::collections::{BTreeSet, HashMap, HashSet};

use kafka_assignors::{Assignment, Member, MemberIndex, Subscription, Topics};

use super::Snapshot;
use super::assemble_group::{contains_uuid, is_word_of};
use crate::group::recognise::recognise;
use crate::group::{
    DescribedDocument, GroupDocument, GroupKind, GroupModel, GroupProblem, GroupState,
    ServingPodIndex,
};
use crate::model::{Pod, PodIndex};

impl Snapshot {
    /// Builds the model of the consumer group.
    ///
    /// # Errors
    /// [`GroupProblem`] if the data is incomplete or the group has not settled.
    pub fn group_model(&self) -> Result<GroupModel, GroupProblem> {
        let document = self.data().group.as_ref().ok_or(GroupProblem::Unknown)?;
        if let Some(problem) = document.described.as_ref().and_then(described_problem) {
            return Err(problem);
        }
        if let Some(missing) = &document.partial {
            return Err(GroupProblem::Partial {
                missing: missing.clone(),
            });
        }
        if !document.has_owners() {
            return Err(GroupProblem::Unknown);
        }
        let topics = topics(document);
        let owners = owners(document);
        let (protocol, client) = (document.protocol, document.client);
        let members = document.members.len();
        let known = document.known_assignor();
        if let (None, Some(assignor)) = (known, unknown_assignor(document)) {
            return Err(GroupProblem::UnknownAssignor { assignor });
        }
        let assignor = recognise(known, protocol, &topics, &owners, members);
        if !assignor.assignor.exists_in(protocol, client) {
            return Err(GroupProblem::no_such_assignor(
                assignor.assignor,
                protocol,
                client,
            ));
        }
        if document.moved_lately > 0 {
            return Err(GroupProblem::MovedLately {
                partitions: document.moved_lately,
            });
        }
        if let Some(offsets) = &document.offsets_went_back
            && let Some(example) = offsets.partitions.first()
        {
            return Err(GroupProblem::OffsetsWentBack {
                partitions: offsets.partitions.len(),
                example: example.clone(),
                window_seconds: offsets.window_seconds,
            });
        }
        let (pods, pod_of) = self.pods_of_members(document)?;
        if let Some(first) = owners.without_owner().next() {
            return Err(GroupProblem::Unowned {
                partitions: owners.without_owner().count(),
                example: topics.partition_name(first),
            });
        }
        let behind = pods_behind(document, &topics, &owners, &pod_of, pods.len())?;
        Ok(GroupModel {
            behind,
            members: self::members(document, &topics),
            rates: rates(document),
            session_timeout: document
                .session_timeout_seconds
                .map_or(GroupDocument::DEFAULT_SESSION_TIMEOUT_SECONDS, f64::from),
            returns: self.returns(document, &pods, &pod_of),
            removes_static_members: document.removes_static_members,
            stable_names: self.has_stable_names(),
            startups: self.startups(),
            client,
            protocol,
            assignor,
            topics,
            pod_of,
            pods,
            owners,
        })
    }

    /// Whether a replacement has the name of the pod before it.
    pub(crate) fn has_stable_names(&self) -> bool {
        self.workload().kind == "StatefulSet"
    }

    /// Whether the replacement of each member's pod has the member's `group.instance.id`. It has
    /// another one if the id contains something that differs between the two pods.
    fn returns(
        &self,
        document: &GroupDocument,
        pods: &[PodIndex],
        pod_of: &[ServingPodIndex],
    ) -> Vec<bool> {
        let pod = |index: &ServingPodIndex| self.pods().get(pods.get(index.get())?.get());
        let members = document.members.iter().zip(pod_of);
        members
            .map(|(member, of)| match (&member.instance, pod(of)) {
                (Some(instance), Some(pod)) => {
                    !instance_id_is_of_one_pod(instance, pod, self.has_stable_names())
                }
                (Some(_) | None, Some(_) | None) => false,
            })
            .collect()
    }

    /// The serving pods, and the one of each member.
    fn pods_of_members(
        &self,
        document: &GroupDocument,
    ) -> Result<(Vec<PodIndex>, Vec<ServingPodIndex>), GroupProblem> {
        let serving = || {
            let all = self.pods().iter().enumerate();
            all.filter(|(_, pod)| pod.serves())
        };
        let by_name: HashMap<&str, ServingPodIndex> = serving()
            .enumerate()
            .map(|(index, (_, pod))| (pod.name.as_str(), ServingPodIndex::new(index)))
            .collect();
        let mut pod_of = Vec::with_capacity(document.members.len());
        let mut missing = Vec::new();
        for member in &document.members {
            match by_name.get(member.pod.as_str()) {
                Some(pod) => pod_of.push(*pod),
                None => missing.push(&member.pod),
            }
        }
        match missing.first() {
            None => {
                let pods = serving().map(|(index, _)| PodIndex::new(index));
                Ok((pods.collect(), pod_of))
            }
            Some(first) => Err(GroupProblem::PodsNotServing {
                members: missing.len(),
                example: (*first).clone(),
            }),
        }
    }

    /// The startup durations of the serving pods, in seconds, ascending.
    fn startups(&self) -> Vec<f64> {
        let serving = self.pods().iter().filter(|pod| pod.serves());
        let mut startups: Vec<f64> = serving
            .filter_map(|pod| Some(pod.age_seconds?.get() - pod.ready_seconds?.get()))
            .collect();
        startups.sort_unstable_by(f64::total_cmp);
        startups
    }
}

/// Why a group that its brokers describe cannot be modelled, by its type and state.
fn described_problem(described: &DescribedDocument) -> Option<GroupProblem> {
    let unsupported = |group_type: &str| {
        Some(GroupProblem::UnsupportedGroup {
            group_type: group_type.to_owned(),
        })
    };
    match &described.kind {
        GroupKind::Classic | GroupKind::Consumer => {}
        GroupKind::Other(kind) => return unsupported(kind),
    }
    let state = described.state.to_string();
    match described.state {
        // An empty group may have no protocol type.
        GroupState::Empty | GroupState::Dead => Some(GroupProblem::NoMembers { state }),
        GroupState::Stable | GroupState::Rebalancing(_) | GroupState::Other(_)
            if described.protocol_type != CONSUMER =>
        {
            unsupported(&described.protocol_type)
        }
        GroupState::Stable => None,
        GroupState::Rebalancing(_) | GroupState::Other(_) => {
            Some(GroupProblem::NotStable { state })
        }
    }
}

/// The protocol type of groups of consumers.
const CONSUMER: &str = "consumer";

/// The assignor of Kafka Streams. The group is modelled with another one, and a note says so.
const STREAMS: &str = "stream";

/// The assignor that the brokers report, if it is not a known one.
fn unknown_assignor(document: &GroupDocument) -> Option<String> {
    let reported = document.described.as_ref()?.assignor.as_ref()?;
    (reported != STREAMS).then(|| reported.clone())
}

fn topics(document: &GroupDocument) -> Topics {
    let sizes = document.topics.iter();
    let topics = Topics::new(sizes.map(|(name, topic)| (name.clone(), topic.owners.len())));
    if document
        .topics
        .values()
        .all(|topic| topic.replica_racks.is_none())
    {
        return topics;
    }
    // The brokers describe the racks of all topics or of none.
    let racks = document.topics.values().flat_map(|topic| {
        let racks = topic.replica_racks.clone().unwrap_or_default();
        racks
            .into_iter()
            .chain(std::iter::repeat(Vec::new()))
            .take(topic.owners.len())
    });
    topics.with_replica_racks(racks)
}

/// The pods with partitions that are behind. Their loads are not what their rates cost.
///
/// # Errors
/// If these are more than a quarter of the pods, rounded up: the model of the loads bears no more.
fn pods_behind(
    document: &GroupDocument,
    topics: &Topics,
    owners: &Assignment,
    pod_of: &[ServingPodIndex],
    pods: usize,
) -> Result<Vec<ServingPodIndex>, GroupProblem> {
    let Some(catching_up) = &document.catching_up else {
        return Ok(Vec::new());
    };
    let names: HashSet<&str> = catching_up.partitions.iter().map(String::as_str).collect();
    let behind: BTreeSet<ServingPodIndex> = owners
        .iter()
        .filter(|(partition, _)| names.contains(topics.partition_name(*partition).as_str()))
        .filter_map(|(_, owner)| pod_of.get(owner?.get()).copied())
        .collect();
    if behind.len() > pods.div_ceil(4) {
        return Err(GroupProblem::CatchingUp {
            pods: behind.len(),
            of: pods,
            partitions: catching_up.partitions.len(),
            example: catching_up.partitions.first().cloned().unwrap_or_default(),
            lag: catching_up.lag,
            window_seconds: catching_up.window_seconds,
        });
    }
    Ok(behind.into_iter().collect())
}

fn owners(document: &GroupDocument) -> Assignment {
    let members = MemberIndex::all(document.members.len());
    let by_name: HashMap<&str, MemberIndex> = document
        .members
        .iter()
        .zip(members)
        .map(|(member, index)| (member.name(), index))
        .collect();
    let owners = document.topics.values().flat_map(|topic| &topic.owners);
    owners
        .map(|owner| by_name.get(owner.as_deref()?).copied())
        .collect()
}

fn members(document: &GroupDocument, topics: &Topics) -> Vec<Member> {
    let all = Subscription::all(topics);
    let subscription =
        |names: &Vec<String>| Subscription::new(names.iter().filter_map(|name| topics.find(name)));
    document
        .members
        .iter()
        .map(|member| Member {
            id: member.id.clone().unwrap_or_default(),
            instance: member.instance.clone(),
            subscription: member
                .topics
                .as_ref()
                .map_or_else(|| all.clone(), subscription),
            rack: member.rack.clone(),
        })
        .collect()
}

/// Whether a `group.instance.id` belongs to this pod alone: it contains the name (unless the
/// replacement has the same one), the UID or the address of the pod, or a UUID.
pub(crate) fn instance_id_is_of_one_pod(instance: &str, pod: &Pod, has_stable_name: bool) -> bool {
    (!has_stable_name && contains_name(instance, pod))
        || contains_uid_or_address(instance, pod)
        || contains_uuid(instance)
}

/// Whether a `group.instance.id` contains the name, the UID or the address of the pod.
pub(crate) fn instance_id_names(instance: &str, pod: &Pod) -> bool {
    contains_name(instance, pod) || contains_uid_or_address(instance, pod)
}

fn contains_name(instance: &str, pod: &Pod) -> bool {
    !pod.name.is_empty() && is_word_of(instance, &pod.name)
}

fn contains_uid_or_address(instance: &str, pod: &Pod) -> bool {
    let contains = |text: &str| !text.is_empty() && is_word_of(instance, text);
    // A snapshot uses the name of a pod without a UID.
    let has_uid = pod.uid.0 != pod.name && contains(&pod.uid.0);
    let has_address = pod.ip.as_deref().is_some_and(|ip| {
        contains(ip) || contains(&ip.replace(['.', ':'], "-")) || contains(&ip.replace('.', "_"))
    });
    has_uid || has_address
}

fn rates(document: &GroupDocument) -> Option<Vec<f64>> {
    let mut all = Vec::new();
    for topic in document.topics.values() {
        all.extend(topic.rates.as_ref()?.iter().map(|rate| rate.get()));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn model(group: &Value) -> Result<GroupModel, GroupProblem> {
        let snapshot = json!({
            "pods": [{"name": "a"}, {"name": "b"}, {"name": "c", "ready": false}],
            "group": group,
        });
        let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
        snapshot.group_model()
    }

    #[rstest]
    #[case::nothing(
        json!({"assignor": "range"}),
        false,
        "the owners of the partitions are unknown"
    )]
    #[case::partial(
        json!({"partial": "t-3", "topics": {"t": {"owners": ["a"]}}}),
        false,
        "is incomplete: t-3"
    )]
    #[case::unowned(
        json!({"topics": {"t": {"owners": ["a", null, null]}}}),
        true,
        "2 partitions have no owner, such as t-1"
    )]
    #[case::moved(
        json!({"moved_lately": 4, "topics": {"t": {"owners": ["a"]}}}),
        true,
        "4 partitions changed the owner"
    )]
    #[case::pod_not_ready(
        json!({"members": [{"pod": "c"}], "topics": {"t": {"owners": ["c"]}}}),
        true,
        "1 member of the group runs in pods that are not ready, such as c"
    )]
    #[case::uniform_in_a_classic_group(
        json!({"assignor": "uniform", "topics": {"t": {"owners": ["a"]}}}),
        false,
        "no assignor uniform in a group of the classic protocol"
    )]
    #[case::rebalancing(
        json!({
            "described": {"kind": "classic", "state": "PreparingRebalance", "protocol_type": "consumer"},
            "partial": "while it rebalances",
            "topics": {"t": {"owners": ["a"]}},
        }),
        true,
        "the group is not stable: its state is PreparingRebalance"
    )]
    #[case::empty(
        json!({"described": {"kind": "classic", "state": "Empty", "protocol_type": ""}}),
        false,
        "the group has no members (state Empty)"
    )]
    #[case::streams(
        json!({"described": {"kind": "streams", "state": "Stable", "protocol_type": "streams"}}),
        false,
        "the group is of type streams"
    )]
    #[case::connect(
        json!({"described": {"kind": "classic", "state": "Stable", "protocol_type": "connect"}}),
        false,
        "the group is of type connect"
    )]
    #[case::unknown_assignor(
        json!({
            "described": {
                "kind": "classic", "state": "Stable", "protocol_type": "consumer", "assignor": "mine",
            },
            "topics": {"t": {"owners": ["a", "b"]}},
        }),
        false,
        "the brokers report the assignor mine, which is not modelled"
    )]
    #[case::two_of_two_pods_are_behind(
        json!({
            "catching_up": {"partitions": ["t-0", "t-1"], "lag": 700, "window_seconds": 60},
            "topics": {"t": {"owners": ["a", "b", "b"], "rates": [1, 1, 1]}},
        }),
        true,
        "2 of 2 ready pods are behind: 2 partitions, such as t-0, have a lag larger than what arrived \
         within the window of 60 s (700 records together)"
    )]
    fn reports_why_a_group_cannot_be_modelled(
        #[case] document: Value,
        #[case] is_transient: bool,
        #[case] expected: &str,
    ) {
        let problem = model(&document).unwrap_err();
        assert_eq!(problem.is_transient(), is_transient);
        assert!(problem.to_string().contains(expected), "{problem}");
    }

    #[test]
    fn configured_assignor_replaces_an_unknown_one() {
        let group = json!({
            "assignor": "range",
            "described": {
                "kind": "classic", "state": "Stable", "protocol_type": "consumer", "assignor": "mine",
            },
            "topics": {"t": {"owners": ["a", "b"]}},
        });
        let assignor = model(&group).unwrap().assignor;
        assert_eq!(assignor.to_string(), "range (as configured)");
    }

    /// The assignor of Kafka Streams is not modelled, and a note of the document says so.
    #[test]
    fn streams_group_of_the_classic_protocol_is_approximated() {
        let group = json!({
            "described": {
                "kind": "classic", "state": "Stable", "protocol_type": "consumer",
                "assignor": "stream",
            },
            "topics": {"t": {"owners": ["a", "b", "b", "a"]}},
        });
        let assignor = model(&group).unwrap().assignor;
        assert_eq!(assignor.known, crate::group::Knowledge::Assumed);
    }

    #[test]
    fn racks_reach_the_model() {
        let group = model(&json!({
            "members": [{"pod": "a", "rack": "r1"}, {"pod": "b"}],
            "topics": {"t": {"owners": ["a", "b"], "replica_racks": [["r1"], ["r1", "r2"]]}},
        }))
        .unwrap();
        assert_eq!(group.members[0].rack.as_deref(), Some("r1"));
        assert_eq!(group.members[1].rack, None);
        let racks = group
            .topics
            .replica_racks(kafka_assignors::PartitionIndex::new(1));
        assert_eq!(racks.len(), 2);
    }

    #[test]
    fn startups_are_those_of_serving_pods() {
        let pod = |name: &str, age: u32, ready: u32| json!({"name": name, "age_seconds": age, "ready_seconds": ready});
        let mut pods = vec![pod("a", 100, 60), pod("b", 90, 85), pod("c", 80, 60)];
        let startups = |pods: &[Value]| {
            let group = json!({"topics": {"t": {"owners": ["a"]}}, "members": [{"pod": "a"}]});
            let snapshot = json!({"pods": pods, "group": group});
            let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
            snapshot.group_model().unwrap().startups
        };
        assert_eq!(startups(&pods), [5.0, 20.0, 40.0]);
        // Pods that do not serve are not counted.
        pods.extend([1, 2].map(|number| {
            let mut pod = pod(&format!("slow-{number}"), 500, 0);
            pod["ready"] = json!(false);
            pod
        }));
        assert_eq!(startups(&pods), [5.0, 20.0, 40.0]);
        assert!(startups(&[json!({"name": "a"})]).is_empty());
    }

    #[test]
    fn names_become_indices() {
        let group = model(&json!({
            "members": [
                {"pod": "b", "name": "b/1", "id": "x"},
                {"pod": "b", "name": "b/2", "topics": ["u"]},
                {"pod": "a"},
            ],
            "topics": {
                "u": {"owners": ["b/2", "a"], "rates": [1, 2]},
                "t": {"owners": ["b/1"], "rates": [3]},
            },
        }))
        .unwrap();
        let topics = |member: usize| -> Vec<usize> {
            let topics = group.members[member].subscription.topics().iter();
            topics.map(|topic| topic.get()).collect()
        };
        assert_eq!(group.pods, [0, 1].map(PodIndex::new));
        assert_eq!(group.pod_of, [1, 1, 0].map(ServingPodIndex::new));
        assert_eq!(
            group.pod_owners(),
            [1, 1, 0].map(|pod| Some(ServingPodIndex::new(pod)))
        );
        assert_eq!(group.rates, Some(vec![3.0, 1.0, 2.0]));
        assert_eq!(topics(0), [0, 1]);
        assert_eq!(topics(1), [1]);
        assert_eq!(
            (group.members[0].id.as_str(), group.members[1].id.as_str()),
            ("x", "")
        );
    }
}
