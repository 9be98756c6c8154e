//! The changes that help where evictions cannot: a clause for the message of a hold.

use std::collections::BTreeSet;

use kafka_assignors::{Assignor, Protocol, TopicIndex};

use super::axes::Scenario;
use super::change::Change;
use super::evaluate::forecast;
use crate::forecast::{Diagnosis, Subject};
use crate::group::{GroupModel, ServingPodIndex};
use crate::model::LoadUnit;
use crate::snapshot::Snapshot;
use crate::strategy::group_report::ExplainedLoads;

/// The number of samples of an alternative.
const SAMPLES: usize = 5;

/// The maximum number of alternatives in a message.
const SHOWN: usize = 2;

/// The share of the current peak that an alternative must save.
const LEAST_FALL: f64 = 0.01;

/// The changes that lower the highest load of a group that evictions cannot even out, best first,
/// as a clause. `None` if no change is known to help.
pub(crate) fn alternatives(
    snapshot: &Snapshot,
    group: &GroupModel,
    diagnosis: &Diagnosis,
    seed: u64,
) -> Option<String> {
    let explained = ExplainedLoads::new(snapshot, group);
    if !explained.is_good() {
        return None;
    }
    let subject = explained.subject(group, None, None);
    let name = |pod: ServingPodIndex| explained.name(pod);
    let present = subject.peak();
    let mut better: Vec<(f64, Scenario)> = candidates(&subject, diagnosis)
        .into_iter()
        .filter_map(|scenario| {
            let change = Change::new(&subject, &name, &scenario).ok()?;
            let peak = forecast(&subject, &change, SAMPLES, seed).peak.mean;
            (peak < present * (1.0 - LEAST_FALL)).then_some((peak, scenario))
        })
        .collect();
    better.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let unit = snapshot.load_unit();
    let clauses = better.iter().take(SHOWN).enumerate();
    let clauses: Vec<String> = clauses
        .map(|(index, (peak, scenario))| clause(scenario, *peak, index == 0, unit))
        .collect();
    (!clauses.is_empty()).then(|| {
        let now = unit.amount(present);
        format!("{} (now {now})", clauses.join(", "))
    })
}

fn clause(scenario: &Scenario, peak: f64, is_first: bool, unit: LoadUnit) -> String {
    let condition = if scenario.partitions.is_empty() {
        ""
    } else {
        " and keys that spread evenly"
    };
    let load = if is_first {
        "the highest load would be "
    } else {
        ""
    };
    format!("with {scenario}{condition} {load}{}", unit.amount(peak))
}

/// The changes that may help.
fn candidates(subject: &Subject<'_>, diagnosis: &Diagnosis) -> Vec<Scenario> {
    let group = subject.group;
    match diagnosis {
        Diagnosis::Capacity(capacity) => vec![Scenario::with_replicas(capacity.needed)],
        Diagnosis::PositionalAssignor(_) => {
            let sticky = match group.protocol {
                Protocol::Classic => Assignor::CooperativeSticky,
                Protocol::Consumer => Assignor::Uniform,
            };
            let sticky = Scenario::with_assignor(sticky);
            let replicas = dividing_replicas(subject).map(Scenario::with_replicas);
            std::iter::once(sticky).chain(replicas).collect()
        }
        Diagnosis::Remainder(remainder) => {
            let replicas = BTreeSet::from([remainder.enough, remainder.divides]);
            replicas.into_iter().map(Scenario::with_replicas).collect()
        }
        Diagnosis::TooFewPartitions(_) | Diagnosis::HotPartition(_) => heaviest(subject)
            .map(|topic| {
                let name = group.topics.name(topic);
                Scenario::with_partitions(name, 2 * group.topics.size(topic))
            })
            .into_iter()
            .collect(),
        Diagnosis::StaticMembership(_) | Diagnosis::SkewedTopic(_) | Diagnosis::SlowPod(_) => {
            Vec::new()
        }
    }
}

/// The topic of the heaviest partition.
fn heaviest(subject: &Subject<'_>) -> Option<TopicIndex> {
    let topics = &subject.group.topics;
    let loads = &subject.attribution.partitions;
    topics
        .indices()
        .filter_map(|topic| {
            let loads = loads.get(topics.range(topic))?.iter().copied();
            Some((topic, loads.max_by(f64::total_cmp)?))
        })
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(topic, _)| topic)
}

/// The next number of pods that divides the partitions of the topic with the heaviest partition.
fn dividing_replicas(subject: &Subject<'_>) -> Option<usize> {
    let partitions = subject.group.topics.size(heaviest(subject)?);
    (subject.group.pods.len() + 1..=partitions).find(|pods| partitions.is_multiple_of(*pods))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, decide};
    use rstest::rstest;
    use serde_json::{Value, json};

    /// One topic: the rates of each pod's partitions. A unit of rate costs 0.1 cores.
    fn message(assignor: &str, rates: &[&[f64]]) -> (String, String) {
        let pods: Vec<Value> = rates
            .iter()
            .zip('a'..)
            .map(|(rates, name)| {
                json!({"name": name.to_string(), "load": rates.iter().sum::<f64>() / 10.0})
            })
            .collect();
        let owners: Vec<String> = rates
            .iter()
            .zip('a'..)
            .flat_map(|(rates, name)| rates.iter().map(move |_| name.to_string()))
            .collect();
        let topics = json!({"orders": {"owners": owners, "rates": rates.concat()}});
        let snapshot: Snapshot = serde_json::from_value(json!({
            "target": 0.5,
            "pods": pods,
            "group": {"assignor": assignor, "topics": topics},
        }))
        .unwrap();
        let policy = Policy {
            strategy: crate::Strategy::Forecast,
            ..Policy::default()
        };
        let decision = decide(&snapshot, &policy);
        let reason = decision.hold_reason().unwrap().as_str().to_owned();
        (reason, decision.message)
    }

    #[rstest]
    #[case::positional(
        "range",
        &[&[5.0, 5.0, 1.0, 1.0] as &[f64], &[1.0, 1.0], &[1.0, 1.0]],
        "positional_assignor",
        "the highest load would be"
    )]
    #[case::heavy_partition(
        "cooperative-sticky",
        &[&[9.0] as &[f64], &[1.0], &[1.0], &[1.0]],
        "hot_partition",
        "; with 8 partitions of orders and keys that spread evenly the highest load would be 0.300 \
         cores (now 0.900 cores)"
    )]
    #[case::too_few_pods(
        "cooperative-sticky",
        &[&[1.7; 5] as &[f64], &[1.7; 5], &[1.7; 5]],
        "capacity",
        "; with 6 pods the highest load would be 0.510 cores (now 0.850 cores)"
    )]
    fn hold_names_a_change_that_helps(
        #[case] assignor: &str,
        #[case] rates: &[&[f64]],
        #[case] reason: &str,
        #[case] clause: &str,
    ) {
        let (found, message) = message(assignor, rates);
        assert_eq!(found, reason, "{message}");
        assert!(message.contains(clause), "{message}");
        assert!(message.ends_with("cores)"), "{message}");
    }

    #[test]
    fn no_change_is_named_where_none_helps() {
        // Each pod has one partition, so no assignor can even out a heavy one.
        let (reason, message) = message("range", &[&[9.0], &[1.0], &[1.0]]);
        assert_eq!(reason, "positional_assignor");
        assert!(!message.contains("would be"), "{message}");
    }
}
