//! The pods at each time of the past, as far as the series show them.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{MetricsHistory, PodSeries, is_named_after};
use crate::model::{Cores, Load, Measurement, Pod, SampleFault, SampleInfo, Seconds};
use crate::snapshot::Snapshot;
use crate::statistics::mean;

/// The series of one pod.
#[derive(Default)]
struct OfPod<'a> {
    load: Option<&'a PodSeries>,
    age: Option<&'a PodSeries>,
    series: Option<&'a PodSeries>,
    coverage: Option<&'a PodSeries>,
    ready: Option<&'a PodSeries>,
    created: Option<&'a PodSeries>,
    request: Option<&'a PodSeries>,
}

/// The state of a pod while the times are visited in order.
#[derive(Clone, Copy, Default)]
struct State {
    /// The index at which the pod began, if it did not exist at the time before.
    began: Option<usize>,
    /// The index at which the pod became ready.
    became_ready: Option<usize>,
    existed: bool,
    was_ready: bool,
}

/// The pods of a workload at each time, in order.
pub(super) struct PastPods<'a> {
    history: &'a MetricsHistory,
    pods: BTreeMap<&'a str, (OfPod<'a>, State)>,
    /// The requests of the present pods by name, and their mean.
    requests: BTreeMap<&'a str, Cores>,
    mean_request: Option<Cores>,
    /// The age of the newest sample up to which a pod counts as running, in seconds.
    longest_age: f64,
    next: usize,
}

/// The pods at one time.
pub(super) struct PodsAt {
    pub(super) index: usize,
    pub(super) pods: Vec<Pod>,
}

impl PodsAt {
    /// Whether any pod has a load.
    pub(super) fn is_measured(&self) -> bool {
        self.pods.iter().any(|pod| pod.measurement.has_value())
    }
}

impl<'a> PastPods<'a> {
    /// `present` has the present pods. A pod without a readiness series counts as running up to
    /// `longest_age` after its newest sample.
    pub(super) fn new(
        history: &'a MetricsHistory,
        present: &'a Snapshot,
        longest_age: Seconds,
    ) -> Self {
        let known: BTreeSet<&str> = present
            .pods()
            .iter()
            .filter(|pod| pod.owned)
            .map(|pod| pod.name.as_str())
            .collect();
        let is_ours = |pod: &str| known.contains(pod) || is_named_after(present.workload(), pod);
        let mut pods: BTreeMap<&str, (OfPod<'_>, State)> = BTreeMap::new();
        let mut add = |series: &'a [PodSeries], set: fn(&mut OfPod<'a>, &'a PodSeries)| {
            for series in series.iter().filter(|series| is_ours(&series.pod)) {
                let (of_pod, _) = pods.entry(series.pod.as_str()).or_default();
                set(of_pod, series);
            }
        };
        let optional = |series: &'a Option<Vec<PodSeries>>| series.as_deref().unwrap_or_default();
        add(&history.loads, |pod, series| pod.load = Some(series));
        add(optional(&history.sample_ages), |pod, series| {
            pod.age = Some(series)
        });
        add(optional(&history.series_counts), |pod, series| {
            pod.series = Some(series)
        });
        add(optional(&history.window_coverage), |pod, series| {
            pod.coverage = Some(series);
        });
        add(&history.ready, |pod, series| pod.ready = Some(series));
        add(&history.created, |pod, series| pod.created = Some(series));
        add(&history.requests, |pod, series| pod.request = Some(series));
        let with_requests = present.pods().iter().filter(|pod| pod.owned);
        let requests: BTreeMap<&str, Cores> = with_requests
            .filter_map(|pod| Some((pod.name.as_str(), pod.share_of_pod_request()?)))
            .collect();
        let mean_request = mean(requests.values().map(|request| request.get()));
        Self {
            history,
            pods,
            mean_request: Cores::new(mean_request).ok(),
            requests,
            longest_age: longest_age.get(),
            next: 0,
        }
    }

    fn pod(&self, name: &str, of: &OfPod<'_>, state: State, index: usize) -> Pod {
        let since = |began: Option<usize>| {
            let began = began?;
            let age = self
                .history
                .at(index)
                .duration_since(self.history.at(began));
            Seconds::new(age.as_secs_f64()).ok()
        };
        let created = of.created.and_then(|created| created.at(index));
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let now = self.history.at(index).as_second() as f64;
        let age = created.and_then(|created| Seconds::new((now - created).max(0.0)).ok());
        let request = of
            .request
            .and_then(|request| Cores::new(request.at(index)?).ok());
        let request = request
            .or_else(|| self.requests.get(name).copied())
            .or(self.mean_request);
        let age_seconds = age.or_else(|| since(state.began));
        Pod {
            measurement: self.measurement(of, index),
            ready: state.was_ready,
            age_seconds,
            // A pod that was ready at the first time has been so for an unknown time.
            ready_seconds: since(state.became_ready).filter(|_| state.was_ready),
            request,
            ..Pod::new(name)
        }
    }

    fn measurement(&self, of: &OfPod<'_>, index: usize) -> Measurement {
        let at = |series: Option<&PodSeries>| series.and_then(|series| series.at(index));
        let several = |index: Option<usize>| {
            let count = index.and_then(|index| of.series?.at(index));
            count.is_some_and(|count| count > 1.0)
        };
        // The series of a container before and after its restart follow each other, and are in one
        // window of the rate only.
        let is_duplicate = several(Some(index))
            && (several(index.checked_sub(1)) || several(index.checked_add(1)));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates"
        )]
        let samples = SampleInfo {
            age: at(of.age).and_then(|age| Seconds::new(age.max(0.0)).ok()),
            series: at(of.series).map_or(1, |count| if is_duplicate { count as u32 } else { 1 }),
            window_covered: self.history.window_coverage.is_none() || at(of.coverage).is_some(),
        };
        match at(of.load) {
            None => Measurement::Missing(samples),
            Some(load) if !load.is_finite() => Measurement::Faulty(SampleFault::NotFinite, samples),
            Some(load) => {
                let load = Load::new(load).map_err(|_| SampleFault::Negative);
                Measurement::new(load, samples)
            }
        }
    }

    /// Whether a pod existed and was ready.
    fn existence(&self, of: &OfPod<'_>, index: usize, is_reported: bool) -> (bool, bool) {
        let ready = of.ready.and_then(|ready| ready.at(index));
        if is_reported {
            return (ready.is_some(), ready.is_some_and(|ready| ready > 0.0));
        }
        let age = of.age.and_then(|age| age.at(index));
        let is_recent = match age {
            Some(age) => age <= self.longest_age,
            None => self.history.sample_ages.is_none(),
        };
        let exists = is_recent && of.load.is_some_and(|load| load.at(index).is_some());
        (exists, exists)
    }
}

impl Iterator for PastPods<'_> {
    type Item = PodsAt;

    fn next(&mut self) -> Option<PodsAt> {
        let index = self.next;
        if index >= self.history.instants {
            return None;
        }
        self.next += 1;
        let mut all = std::mem::take(&mut self.pods);
        // Whether kube-state-metrics reports the pods at this time.
        let is_reported = all
            .values()
            .any(|(of, _)| of.ready.is_some_and(|ready| ready.at(index).is_some()));
        let mut pods = Vec::new();
        // While the metrics server was down, the pods are not known, and did not end.
        let is_known = all
            .values()
            .any(|(of, _)| self.existence(of, index, is_reported).0);
        if !is_known {
            self.pods = all;
            return Some(PodsAt { index, pods });
        }
        for (name, (of, state)) in &mut all {
            let (exists, ready) = self.existence(of, index, is_reported);
            if exists && !state.existed {
                state.began = (index > 0).then_some(index);
            }
            if ready && !state.was_ready {
                state.became_ready = (index > 0).then_some(index);
            }
            (state.existed, state.was_ready) = (exists, ready);
            if exists {
                pods.push(self.pod(name, of, *state, index));
            }
        }
        self.pods = all;
        Some(PodsAt { index, pods })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{SignedDuration, Timestamp};

    /// A series from its first index on; NaN where there is no value.
    fn series(pod: &str, first: usize, values: &[f64]) -> PodSeries {
        PodSeries {
            pod: pod.into(),
            first,
            values: values.to_vec(),
        }
    }

    fn history() -> MetricsHistory {
        MetricsHistory {
            start: Timestamp::UNIX_EPOCH,
            step: SignedDuration::from_mins(10),
            instants: 4,
            loads: vec![
                series("orders-0", 0, &[0.5, 0.6, 0.7, 0.8]),
                series("orders-1", 1, &[0.1, -0.2, 0.3]),
                series("other-0", 0, &[9.0; 4]),
            ],
            sample_ages: Some(vec![
                series("orders-0", 0, &[5.0; 4]),
                series("orders-1", 1, &[5.0, 5.0, 400.0]),
            ]),
            window_coverage: Some(vec![series("orders-0", 0, &[1.0; 4])]),
            series_counts: Some(vec![series("orders-0", 0, &[1.0, 2.0, 1.0, 2.0])]),
            ..MetricsHistory::default()
        }
    }

    fn present() -> Snapshot {
        serde_json::from_value(serde_json::json!({
            "workload": {"namespace": "shop", "kind": "StatefulSet", "name": "orders"},
            "pods": [{"name": "orders-0", "request": 2.0}, {"name": "orders-2", "request": 1.0}],
        }))
        .unwrap()
    }

    fn pods(history: &MetricsHistory) -> Vec<Vec<Pod>> {
        let present = present();
        let past = PastPods::new(history, &present, Seconds::whole(150));
        past.map(|at| at.pods).collect()
    }

    #[test]
    fn pods_exist_as_long_as_they_are_measured() {
        let past = pods(&history());
        let names: Vec<Vec<&str>> = past
            .iter()
            .map(|pods| pods.iter().map(|pod| pod.name.as_str()).collect())
            .collect();
        // The newest sample of orders-1 is too old at the last time.
        assert_eq!(
            names,
            [
                vec!["orders-0"],
                vec!["orders-0", "orders-1"],
                vec!["orders-0", "orders-1"],
                vec!["orders-0"]
            ]
        );
        let second = &past[2][1];
        assert_eq!(second.age_seconds, Some(Seconds::whole(600)));
        assert_eq!(second.ready_seconds, Some(Seconds::whole(600)));
        assert!(matches!(
            second.measurement,
            Measurement::Faulty(SampleFault::Negative, _)
        ));
        assert!(!second.measurement.samples().window_covered);
        // A pod that existed at the first time began before it.
        assert_eq!(past[2][0].age_seconds, None);
        // The present request, or the mean of them.
        let requests = past[1].iter().map(|pod| pod.request.map(Cores::get));
        assert_eq!(requests.collect::<Vec<_>>(), [Some(2.0), Some(1.5)]);
    }

    #[test]
    fn restart_is_no_duplicate() {
        let counts = |counts: &[f64]| -> Vec<u32> {
            let history = MetricsHistory {
                series_counts: Some(vec![series("orders-0", 0, counts)]),
                ..history()
            };
            pods(&history)
                .iter()
                .map(|pods| pods[0].measurement.samples().series)
                .collect()
        };
        assert_eq!(counts(&[1.0, 2.0, 1.0, 2.0]), [1, 1, 1, 1]);
        assert_eq!(counts(&[1.0, 2.0, 2.0, 1.0]), [1, 2, 2, 1]);
    }

    #[test]
    fn kube_state_metrics_knows_readiness_age_and_requests() {
        let history = MetricsHistory {
            ready: vec![
                series("orders-0", 0, &[1.0; 4]),
                series("orders-1", 0, &[0.0, 1.0, 1.0, 1.0]),
            ],
            created: vec![series("orders-1", 0, &[-60.0; 4])],
            requests: vec![series("orders-1", 0, &[4.0; 4])],
            ..history()
        };
        let past = pods(&history);
        let of = |index: usize| &past[index][1];
        assert_eq!(
            (of(0).ready, of(0).age_seconds, of(0).load()),
            (false, Some(Seconds::whole(60)), None)
        );
        assert_eq!(
            (of(2).ready, of(2).ready_seconds),
            (true, Some(Seconds::whole(600)))
        );
        assert_eq!(of(2).request.map(Cores::get), Some(4.0));
        // It is listed although its newest sample is old.
        assert_eq!(past[3].len(), 2);
        assert_eq!(past[0][0].ready_seconds, None);
    }
}
