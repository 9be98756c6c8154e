//! Terminating pods: those that are about to leave the group, and those that have left it although
//! the API still lists them.

use std::collections::HashMap;

use crate::model::{Measurement, Pod, Seconds};
use crate::policy::Policy;
use crate::snapshot::Snapshot;

/// Seconds beyond the grace period after which a terminating pod counts as gone, if nothing shows
/// that it still works. At the end of the grace period the kubelet kills the containers, which
/// takes at most two minutes per request to the container runtime. If the node is lost, no kubelet
/// does, but the group coordinator removes the member after at most `max.poll.interval.ms`: five
/// minutes by default, and the longest of Kafka's default timeouts. By then the rate window of five
/// minutes has no samples of the pod either.
pub(super) const STUCK_AFTER_SECONDS: u32 = 300;

/// The state of a terminating pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Termination {
    /// The pod has left the group. The API lists it because of its finalizers or its node.
    Stuck,
    /// The pod is within its grace period, or shortly after it.
    Leaving,
    /// The pod should be gone for long, but something shows that it still works.
    StillWorking(String),
}

/// Classifies the terminating pods of a snapshot.
pub(super) struct Terminations<'a> {
    policy: &'a Policy,
    freshness_known: bool,
    /// The number of partitions of each pod that owns any.
    partitions: HashMap<&'a str, usize>,
}

impl<'a> Terminations<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, policy: &'a Policy) -> Self {
        let group = snapshot.data().group.as_ref();
        Self {
            policy,
            freshness_known: snapshot.data().freshness_known,
            partitions: group.map_or_else(HashMap::new, |group| group.partitions_of_pods()),
        }
    }

    /// The state of a pod; `None` if it is not terminating.
    pub(super) fn of(&self, pod: &Pod) -> Option<Termination> {
        if !pod.terminating {
            return None;
        }
        let overdue = pod
            .deletion
            .as_ref()
            .and_then(|deletion| deletion.overdue_seconds);
        if overdue.is_none_or(|overdue| overdue < Seconds::whole(STUCK_AFTER_SECONDS)) {
            return Some(Termination::Leaving);
        }
        let partitions = self.partitions.get(pod.name.as_str());
        Some(if pod.ready {
            Termination::StillWorking("still ready".to_owned())
        } else if let Some(partitions) = partitions {
            Termination::StillWorking(format!("still owns {partitions} partitions"))
        } else if self.is_measured(pod) {
            Termination::StillWorking("still measured".to_owned())
        } else {
            Termination::Stuck
        })
    }

    /// Whether the metrics have a recent sample of the pod.
    fn is_measured(&self, pod: &Pod) -> bool {
        match &pod.measurement {
            Measurement::Missing(_) => false,
            Measurement::Faulty(_, samples) | Measurement::Load(_, samples) => {
                let maximum = self.policy.maximum_sample_age_seconds;
                samples
                    .age
                    .map_or(!self.freshness_known, |age| age <= maximum)
            }
        }
    }
}

/// The name of a terminating pod, with its age, what keeps it, and what shows that it still works.
pub(super) fn describe(pod: &Pod, termination: &Termination) -> String {
    let mut facts: Vec<String> = pod.deletion.iter().map(ToString::to_string).collect();
    if let Termination::StillWorking(why) = termination {
        facts.push(why.clone());
    }
    if facts.is_empty() {
        return pod.name.clone();
    }
    format!("{} ({})", pod.name, facts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn leaving() -> Termination {
        Termination::Leaving
    }

    fn working(why: &str) -> Termination {
        Termination::StillWorking(why.into())
    }

    #[rstest]
    #[case::serving(json!({}), None)]
    #[case::without_details(json!({"terminating": true}), Some(leaving()))]
    #[case::in_its_grace_period(
        json!({"terminating": true, "deletion": {"requested_seconds": 900}}),
        Some(leaving())
    )]
    #[case::shortly_after_it(
        json!({"terminating": true, "ready": false, "deletion": {"overdue_seconds": 299}}),
        Some(leaving())
    )]
    #[case::long_after_it(
        json!({"terminating": true, "ready": false, "deletion": {"overdue_seconds": 300}}),
        Some(Termination::Stuck)
    )]
    #[case::with_an_old_sample(
        json!({"terminating": true, "ready": false, "deletion": {"overdue_seconds": 300},
            "load": 0.5, "sample_age_seconds": 151}),
        Some(Termination::Stuck)
    )]
    #[case::ready(
        json!({"terminating": true, "deletion": {"overdue_seconds": 9000}}),
        Some(working("still ready"))
    )]
    #[case::with_a_recent_sample(
        json!({"terminating": true, "ready": false, "deletion": {"overdue_seconds": 9000},
            "load": 0, "sample_age_seconds": 150}),
        Some(working("still measured"))
    )]
    #[case::owner(
        json!({"name": "owner", "terminating": true, "ready": false,
            "deletion": {"overdue_seconds": 9000}}),
        Some(working("still owns 2 partitions"))
    )]
    fn pod_is_stuck_if_it_is_overdue_and_nothing_shows_that_it_works(
        #[case] mut pod: Value,
        #[case] expected: Option<Termination>,
    ) {
        let name = pod.as_object_mut().unwrap().entry("name");
        name.or_insert(json!("a"));
        let snapshot: Snapshot = serde_json::from_value(json!({
            "pods": [pod],
            "group": {"members": [{"pod": "owner", "name": "m1"}],
                "topics": {"t": {"owners": ["m1", null, "m1"]}}},
        }))
        .unwrap();
        let policy = Policy::default();
        let terminations = Terminations::new(&snapshot, &policy);
        assert_eq!(terminations.of(&snapshot.pods()[0]), expected);
    }
}
