//! The group as forecasts work with it: everything by its place in a list.

use std::collections::HashMap;

use kafka_assignors::{Assignment, Member, Subscription, Topics};
use serde::{Deserialize, Serialize};

use kafka_assignors::{ClientFamily, Protocol};

use super::data::GroupData;
use super::recognise::{KnownAssignor, recognise};
use crate::snapshot::Snapshot;

/// Why a group is not known well enough to forecast anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GroupProblem {
    /// Nobody says who owns what.
    Unknown,
    /// Owners or rates may lack something.
    Partial {
        /// What, in words.
        missing: String,
    },
    /// Members run in pods that are not there or not ready.
    PodsNotServing {
        /// How many members.
        members: usize,
        /// One of their pods.
        example: String,
    },
    /// Partitions have no owner.
    Unowned {
        /// How many.
        partitions: usize,
        /// One of them.
        example: String,
    },
    /// Partitions changed hands within the cooldown.
    MovedLately {
        /// How many.
        partitions: usize,
    },
    /// The client does not have such an assignor.
    NoSuchAssignor {
        /// The assignor, the protocol, and the client.
        assignor: String,
    },
}

impl GroupProblem {
    /// The group is in the middle of a rebalance, or had one lately: it passes by itself.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::PodsNotServing { .. } | Self::Unowned { .. } | Self::MovedLately { .. } => true,
            Self::Unknown | Self::Partial { .. } | Self::NoSuchAssignor { .. } => false,
        }
    }
}

impl std::fmt::Display for GroupProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "nobody says who owns which partition: set GROUP_METRICS or GROUP_ASSIGNMENT_QUERY",
            ),
            Self::Partial { missing } => write!(f, "the group is known in part only: {missing}"),
            Self::PodsNotServing { members, example } => write!(
                f,
                "{members} members of the group run in pods that are not ready, {example} for one"
            ),
            Self::Unowned {
                partitions,
                example,
            } => write!(
                f,
                "{partitions} partitions have no owner, {example} for one: the group is \
                 rebalancing, or does not consume them"
            ),
            Self::MovedLately { partitions } => write!(
                f,
                "{partitions} partitions changed hands within the cooldown: the loads are not \
                 those of the present owners yet"
            ),
            Self::NoSuchAssignor { assignor } => write!(f, "there is no {assignor}"),
        }
    }
}

/// A settled group: each partition has an owner, each member a pod that serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its topics.
    pub topics: Topics,
    /// Its members. Those whose id is not known have an empty one.
    pub members: Vec<Member>,
    /// The pod of each member, by its place in [`Self::pods`].
    pub pod_of: Vec<usize>,
    /// The serving pods of the workload, by their places in the snapshot.
    pub pods: Vec<usize>,
    /// Who owns what.
    pub owners: Assignment,
    /// What arrives in each partition, per second; `None` when not known.
    pub rates: Option<Vec<f64>>,
    /// The assignor.
    pub assignor: KnownAssignor,
    /// The client library.
    pub client: ClientFamily,
    /// The group protocol.
    pub protocol: Protocol,
    /// `session.timeout.ms` in seconds.
    pub session_timeout: f64,
    /// A replacement bears the name of the pod before it, and so its `group.instance.id`.
    pub stable_names: bool,
    /// How long each serving pod took from its creation until it was ready, in seconds, ascending;
    /// pods of which that is not known are left out.
    pub startups: Vec<f64>,
}

/// Kafka's default `session.timeout.ms`, in seconds.
const SESSION_TIMEOUT: f64 = 45.0;

impl Group {
    /// The group of a snapshot.
    ///
    /// # Errors
    /// [`GroupProblem`] when it is not known well enough, or not settled.
    pub fn of(snapshot: &Snapshot) -> Result<Self, GroupProblem> {
        let data = snapshot.data().group.as_ref();
        let data = data.ok_or(GroupProblem::Unknown)?;
        if let Some(missing) = &data.partial {
            return Err(GroupProblem::Partial {
                missing: missing.clone(),
            });
        }
        if !data.has_owners() {
            return Err(GroupProblem::Unknown);
        }
        let topics = Topics::new(
            data.topics
                .iter()
                .map(|(name, topic)| (name.clone(), topic.owners.len())),
        );
        let owners = owners(data);
        let assignor = recognise(
            data.assignor,
            data.protocol,
            &topics,
            &owners,
            data.members.len(),
        );
        if !assignor.assignor.exists_in(data.protocol, data.client) {
            return Err(GroupProblem::NoSuchAssignor {
                assignor: format!(
                    "assignor {} in a group of the {} protocol with the client {}",
                    assignor.assignor,
                    data.protocol.as_str(),
                    data.client.as_str()
                ),
            });
        }
        if data.moved_lately > 0 {
            return Err(GroupProblem::MovedLately {
                partitions: data.moved_lately,
            });
        }
        let (pods, pod_of) = pods(data, snapshot)?;
        let unowned: Vec<usize> = (0..owners.partitions())
            .filter(|partition| owners.owner(*partition).is_none())
            .collect();
        if let Some(first) = unowned.first() {
            return Err(GroupProblem::Unowned {
                partitions: unowned.len(),
                example: topics.partition_name(*first),
            });
        }
        Ok(Self {
            members: members(data, &topics),
            rates: rates(data),
            session_timeout: data
                .session_timeout_seconds
                .map_or(SESSION_TIMEOUT, f64::from),
            stable_names: snapshot.workload().kind == "StatefulSet",
            startups: startups(snapshot),
            client: data.client,
            protocol: data.protocol,
            assignor,
            topics,
            pod_of,
            pods,
            owners,
        })
    }

    /// The pod that owns each partition, by its place in [`Self::pods`].
    #[must_use]
    pub fn pod_owners(&self) -> Vec<Option<usize>> {
        let owners = self.owners.owners();
        owners
            .map(|member| self.pod_of.get(member?).copied())
            .collect()
    }
}

fn owners(data: &GroupData) -> Assignment {
    let members = data.members.iter().enumerate();
    let places: HashMap<&str, usize> = members.map(|(place, m)| (m.name(), place)).collect();
    let owners = data.topics.values().flat_map(|topic| &topic.owners);
    owners
        .map(|owner| places.get(owner.as_deref()?).copied())
        .collect()
}

fn members(data: &GroupData, topics: &Topics) -> Vec<Member> {
    let all = Subscription::new(0..topics.len());
    let subscription =
        |names: &Vec<String>| Subscription::new(names.iter().filter_map(|name| topics.find(name)));
    data.members
        .iter()
        .map(|member| Member {
            id: member.id.clone().unwrap_or_default(),
            instance: member.instance.clone(),
            subscription: member
                .topics
                .as_ref()
                .map_or_else(|| all.clone(), subscription),
        })
        .collect()
}

fn rates(data: &GroupData) -> Option<Vec<f64>> {
    let mut all = Vec::new();
    for topic in data.topics.values() {
        all.extend(topic.rates.as_ref()?.iter().map(|rate| rate.get()));
    }
    Some(all)
}

fn startups(snapshot: &Snapshot) -> Vec<f64> {
    let serving = snapshot.pods().iter().filter(|pod| pod.serves());
    let startup = serving.filter_map(|pod| Some(pod.age_seconds?.get() - pod.ready_seconds?.get()));
    let mut startups: Vec<f64> = startup.collect();
    startups.sort_unstable_by(f64::total_cmp);
    startups
}

/// The serving pods, and the one of each member.
fn pods(data: &GroupData, snapshot: &Snapshot) -> Result<(Vec<usize>, Vec<usize>), GroupProblem> {
    let all = snapshot.pods().iter().enumerate();
    let serving: Vec<usize> = all
        .filter(|(_, pod)| pod.serves())
        .map(|(place, _)| place)
        .collect();
    let names: HashMap<&str, usize> = serving
        .iter()
        .enumerate()
        .filter_map(|(number, place)| Some((snapshot.pods().get(*place)?.name.as_str(), number)))
        .collect();
    let mut pod_of = Vec::with_capacity(data.members.len());
    let mut missing = Vec::new();
    for member in &data.members {
        match names.get(member.pod.as_str()) {
            Some(pod) => pod_of.push(*pod),
            None => missing.push(&member.pod),
        }
    }
    match missing.first() {
        None => Ok((serving, pod_of)),
        Some(first) => Err(GroupProblem::PodsNotServing {
            members: missing.len(),
            example: (*first).clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn group(group: &Value) -> Result<Group, GroupProblem> {
        let snapshot = json!({
            "pods": [{"name": "a"}, {"name": "b"}, {"name": "c", "ready": false}],
            "group": group,
        });
        Group::of(&serde_json::from_value(snapshot).unwrap())
    }

    #[rstest]
    #[case::nothing(json!({"assignor": "range"}), false, "nobody says who owns")]
    #[case::partial(
        json!({"partial": "t-3", "topics": {"t": {"owners": ["a"]}}}),
        false,
        "in part only: t-3"
    )]
    #[case::unowned(
        json!({"topics": {"t": {"owners": ["a", null, null]}}}),
        true,
        "2 partitions have no owner, t-1 for one"
    )]
    #[case::moved(
        json!({"moved_lately": 4, "topics": {"t": {"owners": ["a"]}}}),
        true,
        "4 partitions changed hands"
    )]
    #[case::pod_not_ready(
        json!({"members": [{"pod": "c"}], "topics": {"t": {"owners": ["c"]}}}),
        true,
        "1 members of the group run in pods that are not ready, c"
    )]
    #[case::uniform_in_a_classic_group(
        json!({"assignor": "uniform", "topics": {"t": {"owners": ["a"]}}}),
        false,
        "no assignor uniform in a group of the classic protocol"
    )]
    fn what_is_not_known_well_enough_is_told(
        #[case] data: Value,
        #[case] passes: bool,
        #[case] says: &str,
    ) {
        let problem = group(&data).unwrap_err();
        assert_eq!(problem.passes(), passes);
        assert!(problem.to_string().contains(says), "{problem}");
    }

    #[test]
    fn what_serving_pods_took_to_start_is_known() {
        let pod = |name: &str, age: u32, ready: u32| json!({"name": name, "age_seconds": age, "ready_seconds": ready});
        let mut pods = vec![pod("a", 100, 60), pod("b", 90, 85), pod("c", 80, 60)];
        let startup = |pods: &[Value]| {
            let group = json!({"topics": {"t": {"owners": ["a"]}}, "members": [{"pod": "a"}]});
            let snapshot = json!({"pods": pods, "group": group});
            let group = Group::of(&serde_json::from_value(snapshot).unwrap());
            group.unwrap().startups
        };
        assert_eq!(startup(&pods), [5.0, 20.0, 40.0]);
        // Whoever does not serve says nothing of it.
        pods.extend([1, 2].map(|number| {
            let mut pod = pod(&format!("slow-{number}"), 500, 0);
            pod["ready"] = json!(false);
            pod
        }));
        assert_eq!(startup(&pods), [5.0, 20.0, 40.0]);
        assert!(startup(&[json!({"name": "a"})]).is_empty());
    }

    #[test]
    fn everything_is_by_place() {
        let group = group(&json!({
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
        assert_eq!(group.pods, [0, 1]);
        assert_eq!(group.pod_of, [1, 1, 0]);
        assert_eq!(group.pod_owners(), [Some(1), Some(1), Some(0)]);
        assert_eq!(group.rates, Some(vec![3.0, 1.0, 2.0]));
        assert_eq!(group.members[0].subscription.topics(), [0, 1]);
        assert_eq!(group.members[1].subscription.topics(), [1]);
        assert_eq!(
            (group.members[0].id.as_str(), group.members[1].id.as_str()),
            ("x", "")
        );
    }
}
