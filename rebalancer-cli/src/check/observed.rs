//! The lines about what the adapters read, before a decision.

use std::collections::HashSet;
use std::time::Duration;

use rebalancer_core::model::Pod;
use rebalancer_core::policy::Strategy;
use rebalancer_core::ports::{DisruptionBudget, GroupObservation, LoadObservation, PortError};

use super::{CheckLine, CheckStatus};
use crate::settings::duration;

/// The lines about the response to each query, with the number of ready pods in it, or of pods in
/// the namespace if those of the workload are unknown. Which numbers are too low is decided by the
/// checks of the decision.
pub(crate) fn metrics(loads: &LoadObservation, pods: Option<&[Pod]>) -> Vec<CheckLine> {
    let ready: Option<HashSet<&str>> = pods.map(|pods| {
        let ready = pods.iter().filter(|pod| pod.serves());
        ready.map(|pod| pod.name.as_str()).collect()
    });
    let is_ready = |pod: &str| ready.as_ref().is_none_or(|ready| ready.contains(pod));
    let found: Vec<_> = loads
        .samples
        .iter()
        .filter(|sample| is_ready(&sample.pod))
        .collect();
    let of_pods = |what: &str, count: usize| {
        let (is_good, pods) = match ready.as_ref().map(HashSet::len) {
            Some(total) => (count == total, format!("of {total} ready pods")),
            None => (count > 0, "pods in the namespace".to_owned()),
        };
        let status = if is_good {
            CheckStatus::Ok
        } else {
            CheckStatus::Info
        };
        CheckLine::new(status, format!("{what}: {count} {pods}"))
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

/// The smallest number of samples in the window with which a missed scrape leaves a load.
const SAMPLES_NEEDED: f64 = 4.0;

/// The line about the scrape interval, from the highest number of samples that a pod has in the
/// window.
pub(crate) fn scrape_interval(samples: f64, window: Duration) -> Option<CheckLine> {
    // A pod without samples is reported by other checks.
    let intervals = (samples >= 1.0).then_some(samples)?;
    let interval = window.div_f64(intervals);
    let message = format!(
        "the scrape interval is about {:.0} s: {samples:.0} samples in METRICS_TIME_WINDOW={}",
        interval.as_secs_f64().max(1.0),
        duration::format(window)
    );
    if samples >= SAMPLES_NEEDED {
        return Some(CheckLine::new(CheckStatus::Ok, message));
    }
    let longer = Duration::from_secs(interval.mul_f64(SAMPLES_NEEDED).as_secs().max(1));
    let fix = format!(
        "set METRICS_TIME_WINDOW to at least 4 scrape intervals ({}), so that a missed scrape does not \
         leave a pod without a load",
        duration::format(longer)
    );
    Some(CheckLine::new(CheckStatus::Warning, message).with_fix(fix))
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

/// The line about a source of the consumer group that failed.
pub(crate) fn group_failed(strategy: Strategy, error: &PortError) -> CheckLine {
    let status = match strategy {
        // These cannot work without the group.
        Strategy::Forecast | Strategy::Assign | Strategy::Rejoin => CheckStatus::Error,
        Strategy::RotateOutliers | Strategy::Auto => CheckStatus::Warning,
    };
    CheckLine::new(status, error.to_string())
}

/// The lines about the consumer group as its source reports it.
pub(crate) fn group(group: &GroupObservation) -> Vec<CheckLine> {
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

/// The line about the right READ on the group with this id, if the strategy needs it. `removes` is
/// whether static members of evicted pods are removed from the group.
pub(crate) fn right_to_read(
    group: &GroupObservation,
    id: &str,
    strategy: Strategy,
    removes: bool,
) -> Option<CheckLine> {
    let members = group
        .described
        .iter()
        .flat_map(|described| &described.members);
    let mut members = members.filter(|member| member.labels.instance.is_some());
    let (status, without) = match strategy {
        Strategy::Assign | Strategy::Rejoin => (CheckStatus::Error, "the hand-over fails"),
        Strategy::Auto => (
            CheckStatus::Warning,
            "a hand-over, which auto prefers, fails",
        ),
        Strategy::RotateOutliers | Strategy::Forecast if removes && members.next().is_some() => (
            CheckStatus::Warning,
            "static members of evicted pods keep their partitions until their session expires",
        ),
        Strategy::RotateOutliers | Strategy::Forecast => return None,
    };
    if group.may_read? {
        return Some(CheckLine::new(CheckStatus::Ok, "may READ the group"));
    }
    let fix = format!(
        "grant the operation READ on the group, for example with kafka-acls --add \
         --allow-principal User:NAME --operation Read --group {id}"
    );
    Some(CheckLine::new(status, format!("may not READ the group: {without}")).with_fix(fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rebalancer_core::model::{Load, PodUid};
    use rebalancer_core::ports::{
        DescribedGroup, DescribedMember, GroupKind, GroupState, LoadSample, MemberLabels,
        PortErrorKind,
    };
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
        let lines = metrics(&loads, Some(&pods(&["a", "b"])));
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
    fn series_are_counted_without_the_pods_of_the_workload() {
        let samples = ["a", "other"].map(|pod| LoadSample::new(pod, Load::ZERO));
        let lines = metrics(&LoadObservation::complete(samples), None);
        let expected = (CheckStatus::Ok, "loads: 2 pods in the namespace");
        assert_eq!(texts(&lines)[1], expected);
        let lines = metrics(&LoadObservation::default(), None);
        let expected = (CheckStatus::Info, "loads: 0 pods in the namespace");
        assert_eq!(texts(&lines)[1], expected);
    }

    #[test]
    fn custom_query_without_freshness_is_a_warning() {
        let loads = LoadObservation {
            custom: true,
            ..LoadObservation::complete([LoadSample::new("a", Load::ZERO)])
        };
        let lines = metrics(&loads, Some(&pods(&["a"])));
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

    #[rstest]
    #[case(
        10.0,
        CheckStatus::Ok,
        "about 30 s: 10 samples in METRICS_TIME_WINDOW=5m"
    )]
    #[case(2.0, CheckStatus::Warning, "about 150 s: 2 samples")]
    fn few_samples_in_the_window_are_a_warning(
        #[case] samples: f64,
        #[case] status: CheckStatus,
        #[case] part: &str,
    ) {
        let line = scrape_interval(samples, Duration::from_secs(300)).unwrap();
        assert_eq!(line.status, status);
        assert!(line.message.contains(part), "{}", line.message);
        let fix = line.fix.unwrap_or_default();
        assert_eq!(
            fix.contains("(10m)"),
            status == CheckStatus::Warning,
            "{fix}"
        );
        assert_eq!(scrape_interval(0.0, Duration::from_secs(300)), None);
    }

    #[rstest]
    #[case(Strategy::Assign, Some(false), false, Some(CheckStatus::Error))]
    #[case(Strategy::Rejoin, Some(true), false, Some(CheckStatus::Ok))]
    #[case(Strategy::Auto, Some(false), false, Some(CheckStatus::Warning))]
    #[case::metrics_do_not_tell(Strategy::Assign, None, false, None)]
    #[case::no_static_members(Strategy::Forecast, Some(false), false, None)]
    #[case::static_members(Strategy::Forecast, Some(false), true, Some(CheckStatus::Warning))]
    fn right_to_read_matters_to_what_joins_or_removes(
        #[case] strategy: Strategy,
        #[case] may_read: Option<bool>,
        #[case] has_static_members: bool,
        #[case] expected: Option<CheckStatus>,
    ) {
        let member = DescribedMember {
            labels: MemberLabels {
                instance: has_static_members.then(|| "i-1".into()),
                ..MemberLabels::default()
            },
            ..DescribedMember::default()
        };
        let described = DescribedGroup {
            kind: GroupKind::Classic,
            state: GroupState::Stable,
            protocol_type: "consumer".into(),
            assignor: None,
            members: vec![member],
            topics: Vec::new(),
            cluster_id: None,
            removable_members: false,
        };
        let group = GroupObservation {
            described: Some(described),
            may_read,
            ..GroupObservation::default()
        };
        let line = right_to_read(&group, "orders", strategy, true);
        let fix = line.as_ref().and_then(|line| line.fix.as_deref());
        assert!(
            fix.is_none_or(|fix| fix.ends_with(" --group orders")),
            "{fix:?}"
        );
        assert_eq!(line.map(|line| line.status), expected);
    }

    #[rstest]
    #[case(Strategy::Auto, CheckStatus::Warning)]
    #[case(Strategy::Forecast, CheckStatus::Error)]
    fn failed_source_of_the_group_is_an_error_if_the_strategy_needs_it(
        #[case] strategy: Strategy,
        #[case] status: CheckStatus,
    ) {
        let error = PortError::new(PortErrorKind::Forbidden, "grant DESCRIBE");
        let line = group_failed(strategy, &error);
        assert_eq!(texts(&[line]), [(status, "grant DESCRIBE")]);
    }
}
