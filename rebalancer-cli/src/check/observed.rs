//! The lines about what the adapters read, before a decision.

use std::collections::HashSet;

use rebalancer_core::model::Pod;
use rebalancer_core::ports::{DisruptionBudget, GroupObservation, LoadObservation, PortError};

use super::{CheckLine, CheckStatus};

/// The lines about the response to each query, with the number of ready pods in it. Which numbers are
/// too low is decided by the checks of the decision.
pub(crate) fn metrics(loads: &LoadObservation, pods: &[Pod]) -> Vec<CheckLine> {
    let ready: HashSet<&str> = pods
        .iter()
        .filter(|pod| pod.serves())
        .map(|pod| pod.name.as_str())
        .collect();
    let found: Vec<_> = loads
        .samples
        .iter()
        .filter(|sample| ready.contains(sample.pod.as_str()))
        .collect();
    let of_pods = |what: &str, count: usize| {
        let status = if count == ready.len() {
            CheckStatus::Ok
        } else {
            CheckStatus::Info
        };
        let total = ready.len();
        CheckLine::new(status, format!("{what}: {count} of {total} ready pods"))
    };
    let mut lines = vec![CheckLine::new(
        CheckStatus::Ok,
        "the metrics server responds and accepts the credentials",
    )];
    let query = if loads.custom {
        "loads of LOAD_QUERY"
    } else {
        "loads"
    };
    lines.push(of_pods(query, found.len()));
    if loads.freshness_known {
        let ages: Vec<f64> = found
            .iter()
            .filter_map(|sample| sample.measurement.samples().age)
            .map(|age| age.get())
            .collect();
        let mut line = of_pods("ages of the newest samples", ages.len());
        if let Some(oldest) = ages.into_iter().reduce(f64::max) {
            line.message.push_str(&format!(", at most {oldest:.0} s"));
        }
        lines.push(line);
    } else if loads.custom {
        let message = "the ages of the samples of LOAD_QUERY are unknown, so stale loads are used";
        lines.push(
            CheckLine::new(CheckStatus::Warning, message).with_fix(
                "set FRESHNESS_QUERY to a query for the age of the newest sample per pod",
            ),
        );
    }
    if !loads.custom {
        let covered = found
            .iter()
            .filter(|sample| sample.measurement.samples().window_covered);
        lines.push(of_pods("samples over the whole window", covered.count()));
    }
    lines
}

/// The line about pods that could not be judged, because the metrics failed.
pub(crate) fn pods(pods: &[Pod]) -> CheckLine {
    let ready = pods.iter().filter(|pod| pod.serves()).count();
    let count = pods.len();
    CheckLine::new(CheckStatus::Ok, format!("{count} pods, {ready} ready"))
}

/// The lines about the budgets that cover the pods.
pub(crate) fn budgets(budgets: &Result<Vec<DisruptionBudget>, PortError>) -> Vec<CheckLine> {
    match budgets {
        Err(error) => vec![CheckLine::new(
            CheckStatus::Info,
            format!("the PodDisruptionBudgets are unknown: {error}"),
        )],
        Ok(budgets) if budgets.is_empty() => vec![CheckLine::new(
            CheckStatus::Info,
            "no PodDisruptionBudget covers the pods",
        )],
        Ok(budgets) => budgets
            .iter()
            .map(|DisruptionBudget { name, allowed, pods }| {
                let message = format!(
                    "PodDisruptionBudget {name} covers {} pods and allows {allowed} evictions now",
                    pods.len()
                );
                if *allowed > 0 {
                    return CheckLine::new(CheckStatus::Ok, message);
                }
                CheckLine::new(CheckStatus::Warning, message).with_fix(
                    "evictions wait for it up to EVICTION_TIMEOUT: raise its maxUnavailable, or wait \
                     until all pods are ready",
                )
            })
            .collect(),
    }
}

/// The lines about the consumer group as its source reports it. `error` is the status of a source that
/// failed.
pub(crate) fn group(
    group: &Result<Option<GroupObservation>, PortError>,
    error: CheckStatus,
) -> Vec<CheckLine> {
    match group {
        Err(failed) => vec![CheckLine::new(error, failed.to_string())],
        Ok(None) => Vec::new(),
        Ok(Some(group)) => {
            let owned = group.owners.iter().filter(|sample| sample.owner.is_some());
            let owned = owned.count();
            let message = match &group.described {
                Some(described) => format!(
                    "the brokers respond: {} members own {owned} of {} partitions; assignor {}",
                    described.members.len(),
                    described
                        .topics
                        .iter()
                        .map(|topic| topic.partition_racks.len())
                        .sum::<usize>(),
                    described.assignor.as_deref().unwrap_or("unknown"),
                ),
                None => format!("the metrics have the owners of {owned} partitions"),
            };
            let notes = group.notes.iter();
            std::iter::once(CheckLine::new(CheckStatus::Ok, message))
                .chain(notes.map(|note| CheckLine::new(CheckStatus::Info, note)))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rebalancer_core::model::{Load, PodUid};
    use rebalancer_core::ports::{LoadSample, PortErrorKind};
    use rstest::rstest;

    fn pods(names: &[&str]) -> Vec<Pod> {
        let pods = names
            .iter()
            .map(|name| serde_json::json!({"name": name, "load": 0.5}));
        let snapshot = serde_json::json!({"pods": pods.collect::<Vec<_>>()});
        let snapshot: rebalancer_core::Snapshot = serde_json::from_value(snapshot).unwrap();
        snapshot.pods().to_vec()
    }

    fn texts(lines: &[CheckLine]) -> Vec<(CheckStatus, &str)> {
        let lines = lines.iter();
        lines
            .map(|line| (line.status, line.message.as_str()))
            .collect()
    }

    #[test]
    fn each_query_has_the_number_of_its_pods() {
        let samples = ["a", "other"].map(|pod| LoadSample::new(pod, Load::ZERO));
        let loads = LoadObservation {
            freshness_known: true,
            ..LoadObservation::complete(samples)
        };
        let lines = metrics(&loads, &pods(&["a", "b"]));
        let expected = [
            (
                CheckStatus::Ok,
                "the metrics server responds and accepts the credentials",
            ),
            (CheckStatus::Info, "loads: 1 of 2 ready pods"),
            (
                CheckStatus::Info,
                "ages of the newest samples: 0 of 2 ready pods",
            ),
            (
                CheckStatus::Info,
                "samples over the whole window: 1 of 2 ready pods",
            ),
        ];
        assert_eq!(texts(&lines), expected);
    }

    #[test]
    fn custom_query_without_freshness_is_a_warning() {
        let loads = LoadObservation {
            custom: true,
            ..LoadObservation::complete([LoadSample::new("a", Load::ZERO)])
        };
        let lines = metrics(&loads, &pods(&["a"]));
        assert_eq!(
            texts(&lines)[1],
            (CheckStatus::Ok, "loads of LOAD_QUERY: 1 of 1 ready pods")
        );
        let last = lines.last().unwrap();
        assert_eq!(last.status, CheckStatus::Warning);
        assert!(last.fix.as_deref().unwrap().contains("FRESHNESS_QUERY"));
    }

    #[rstest]
    #[case(0, CheckStatus::Warning)]
    #[case(1, CheckStatus::Ok)]
    fn budget_that_allows_nothing_is_a_warning(
        #[case] allowed: usize,
        #[case] status: CheckStatus,
    ) {
        let budget = DisruptionBudget {
            name: "ingestion".into(),
            allowed,
            pods: [PodUid("1".into())].into(),
        };
        let lines = budgets(&Ok(vec![budget]));
        assert_eq!((lines.len(), lines[0].status), (1, status));
        assert_eq!(lines[0].fix.is_some(), allowed == 0);
    }

    #[test]
    fn unknown_budgets_are_no_failure() {
        let error = PortError::new(PortErrorKind::Forbidden, "may not list budgets");
        let lines = budgets(&Err(error));
        assert_eq!(lines[0].status, CheckStatus::Info);
        assert_eq!(budgets(&Ok(Vec::new()))[0].status, CheckStatus::Info);
    }

    #[test]
    fn failed_source_of_the_group_has_the_given_status() {
        let failed = || Err(PortError::new(PortErrorKind::Forbidden, "grant DESCRIBE"));
        for status in [CheckStatus::Warning, CheckStatus::Error] {
            assert_eq!(
                texts(&group(&failed(), status)),
                [(status, "grant DESCRIBE")]
            );
        }
        assert_eq!(group(&Ok(None), CheckStatus::Error), []);
    }
}
