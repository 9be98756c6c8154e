//! The loads of the past, by queries over ranges of time.
//!
//! The queries are those of a run. A range is read in parts, so that no request has more points
//! than servers permit, or takes longer than a few seconds.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use rebalancer_core::backtest::{MetricsHistory, PartialSpan, PodSeries};

use crate::error::{PromError, Purpose};
use crate::query::{self, CpuSeries};
use crate::response::{PartialResponse, QueryResponse, Samples};
use crate::source::PrometheusSource;
use crate::transport::QueryTime;

/// The maximum number of points of a series in one request. Prometheus refuses more than 11,000.
const POINTS: i64 = 10_000;

/// The longest part of a range in one request, in seconds.
const LONGEST_PART: i64 = 24 * 3600;

/// A range of time at equal intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRange {
    start: i64,
    step: i64,
    instants: i64,
}

impl HistoryRange {
    /// The multiples of `step` seconds from `since` to `until`, both included if they are
    /// multiples. A step below one second counts as one.
    #[must_use]
    pub fn new(since: Timestamp, until: Timestamp, step: i64) -> Self {
        let step = step.max(1);
        let start = since.as_second().div_euclid(step) * step;
        let start = if start < since.as_second() {
            start + step
        } else {
            start
        };
        let instants = (until.as_second() - start).div_euclid(step) + 1;
        Self {
            start,
            step,
            instants: instants.max(0),
        }
    }

    /// The number of times.
    #[must_use]
    pub fn instants(&self) -> usize {
        usize::try_from(self.instants).unwrap_or(0)
    }

    /// The parts for one request each: the index of the first time, and the number of times.
    fn parts(self) -> impl Iterator<Item = (i64, i64)> {
        let most = (LONGEST_PART / self.step).clamp(1, POINTS);
        (0..self.instants)
            .step_by(usize::try_from(most).unwrap_or(1))
            .map(move |first| (first, most.min(self.instants - first)))
    }

    fn time(self, index: i64) -> i64 {
        self.start + index * self.step
    }
}

/// The series of one query by pod.
#[derive(Debug, Default)]
struct Collected(BTreeMap<String, PodSeries>);

impl Collected {
    fn into_series(self) -> Vec<PodSeries> {
        self.0.into_values().collect()
    }

    /// The value of a pod at an index. Where two series have one, the higher counts.
    fn set(&mut self, pod: &str, index: usize, value: f64) {
        let series = match self.0.entry(pod.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(PodSeries::new(pod)),
        };
        if series.at(index).is_none_or(|known| known < value) {
            series.set(index, value);
        }
    }
}

/// The queries, by the part of the history that they fill.
struct Queries {
    of_loads: Vec<(Purpose, String)>,
    of_pods: [String; 3],
}

impl PrometheusSource {
    /// Reads the loads of the past, and the facts of kube-state-metrics about the pods if it has
    /// them. `progress` is called with the number of finished requests and that of all requests.
    ///
    /// # Errors
    /// If one of the queries had no trustworthy response.
    pub async fn observe_history(
        &self,
        range: HistoryRange,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<MetricsHistory, PromError> {
        let custom = self.settings.load_query.is_some();
        let Queries { of_loads, of_pods } = self.history_queries();
        let parts: Vec<(i64, i64)> = range.parts().collect();
        let total = parts.len() * (of_loads.len() + of_pods.len());
        let mut done = 0;
        let mut advance = || {
            done += 1;
            progress(done, total);
        };
        let mut loads: BTreeMap<usize, Collected> = BTreeMap::new();
        let mut pods: [Collected; 3] = Default::default();
        let mut partial = Vec::new();
        progress(0, total);
        // One request after the other: a backtest must not slow down the server for others.
        for (first, count) in parts {
            let mut signs = Vec::new();
            for (index, (purpose, query)) in of_loads.iter().enumerate() {
                let response = self.part(*purpose, query, range, (first, count)).await?;
                let collected = loads.entry(index).or_default();
                signs.extend(self.collect(&response, range, collected)?);
                advance();
            }
            for (query, collected) in of_pods.iter().zip(&mut pods) {
                let purpose = Purpose::PodHistory;
                let response = self.part(purpose, query, range, (first, count)).await?;
                signs.extend(self.collect(&response, range, collected)?);
                advance();
            }
            let signs: Vec<String> = signs.iter().map(ToString::to_string).collect();
            if !signs.is_empty() {
                let index = |index: i64| usize::try_from(index).unwrap_or(0);
                partial.push(PartialSpan {
                    first: index(first),
                    last: index(first + count - 1),
                    message: signs.join("; "),
                });
            }
        }
        let mut of = |wanted: &[Purpose]| {
            let index = of_loads
                .iter()
                .position(|(purpose, _)| wanted.contains(purpose))?;
            Some(loads.remove(&index).unwrap_or_default().into_series())
        };
        let [ready, created, requests] = pods.map(Collected::into_series);
        Ok(MetricsHistory {
            start: Timestamp::from_second(range.start).unwrap_or_default(),
            step: SignedDuration::from_secs(range.step),
            instants: range.instants(),
            loads: of(&[Purpose::Load, Purpose::CustomLoad]).unwrap_or_default(),
            sample_ages: of(&[Purpose::SampleAge, Purpose::CustomSampleAge]),
            series_counts: of(&[Purpose::DuplicateSeries]),
            window_coverage: of(&[Purpose::WindowCoverage]),
            ready,
            created,
            requests,
            custom,
            partial,
        })
    }

    /// The queries of a run that make sense for the past.
    fn history_queries(&self) -> Queries {
        let settings = &self.settings;
        let window = settings.window;
        let namespace = &settings.workload.namespace;
        let cpu = CpuSeries {
            selection: &settings.series,
            namespace,
            container: &settings.container,
        };
        let of_loads = match &settings.load_query {
            Some(query) => {
                let freshness = settings.freshness_query.iter();
                let freshness = freshness.map(|query| (Purpose::CustomSampleAge, query.clone()));
                std::iter::once((Purpose::CustomLoad, query.clone()))
                    .chain(freshness)
                    .collect()
            }
            None => vec![
                (Purpose::Load, cpu.load(window)),
                (Purpose::SampleAge, cpu.sample_age()),
                (Purpose::DuplicateSeries, cpu.series_count(window)),
                (Purpose::WindowCoverage, cpu.window_coverage(window)),
            ],
        };
        Queries {
            of_loads,
            of_pods: query::pod_facts(&settings.series, namespace, &settings.container),
        }
    }

    async fn part(
        &self,
        purpose: Purpose,
        query: &str,
        range: HistoryRange,
        (first, count): (i64, i64),
    ) -> Result<QueryResponse, PromError> {
        let time = QueryTime::Range {
            start: range.time(first),
            end: range.time(first + count - 1),
            step: range.step,
        };
        self.transport.query_at(purpose, query, time).await
    }

    /// Adds the samples of a response to the series of the pods. Returns why it may be incomplete.
    fn collect(
        &self,
        response: &QueryResponse,
        range: HistoryRange,
        collected: &mut Collected,
    ) -> Result<Option<PartialResponse>, PromError> {
        let pod_label = &self.settings.series.labels.pod;
        let Samples { samples, partial } = response.range()?;
        let mut seen = HashSet::new();
        for series in samples {
            let of_pods = response.sent.purpose == Purpose::PodHistory;
            // Without `honor_labels`, `pod` is the pod of kube-state-metrics.
            let exported = series.labels.get("exported_pod").filter(|_| of_pods);
            let Some(pod) = exported.or_else(|| series.labels.pod(pod_label)) else {
                if of_pods {
                    continue;
                }
                return Err(PromError::SampleWithoutPod {
                    pod_label: pod_label.as_str().to_owned(),
                    advice: None,
                    labels: response.without_secrets(&series.labels.to_string()),
                    sent: response.sent.clone(),
                });
            };
            if !seen.insert(pod.to_owned()) && !of_pods {
                return Err(PromError::DuplicatePods {
                    count: 1,
                    pods: response.without_secrets(pod),
                    sent: response.sent.clone(),
                });
            }
            for value in &series.values {
                if let Some(index) = range.index(value.at) {
                    collected.set(pod, index, value.number);
                }
            }
        }
        Ok(partial)
    }
}

impl HistoryRange {
    /// The index of a time in seconds since 1970; `None` if it is not one of the range.
    fn index(self, at: f64) -> Option<usize> {
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
        let at = at.round() as i64;
        let offset = at.checked_sub(self.start)?;
        let index = offset.div_euclid(self.step);
        let is_of_range = offset.rem_euclid(self.step) == 0 && (0..self.instants).contains(&index);
        is_of_range.then(|| usize::try_from(index).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PrometheusSettings;
    use crate::testing::{Reply, Server};
    use rebalancer_core::model::WorkloadRef;
    use rstest::rstest;
    use std::sync::Mutex;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[rstest]
    #[case::aligned(900, 2700, 900, 900, 3)]
    #[case::between(901, 2699, 900, 1800, 1)]
    #[case::empty(901, 1799, 900, 1800, 0)]
    #[case::backwards(5000, 900, 900, 5400, 0)]
    #[case::step_of_zero(5, 7, 0, 5, 3)]
    fn times_are_multiples_of_the_step(
        #[case] since: i64,
        #[case] until: i64,
        #[case] step: i64,
        #[case] start: i64,
        #[case] instants: usize,
    ) {
        let range = HistoryRange::new(at(since), at(until), step);
        assert_eq!((range.start, range.instants()), (start, instants));
        let all: Vec<Option<usize>> = (0..range.instants)
            .map(|index| range.index(range.time(index) as f64))
            .collect();
        assert_eq!(all, (0..instants).map(Some).collect::<Vec<_>>());
        assert_eq!(range.index(range.time(range.instants) as f64), None);
        assert_eq!(range.index((range.start - 1) as f64), None);
    }

    #[rstest]
    #[case::a_week(7 * 86_400, 900, 8, 96)]
    #[case::one_minute(86_400, 60, 2, 1440)]
    #[case::one_second(86_400, 1, 9, 10_000)]
    #[case::steps_of_days(7 * 86_400, 172_800, 4, 1)]
    fn parts_have_few_points_and_cover_the_range(
        #[case] length: i64,
        #[case] step: i64,
        #[case] parts: usize,
        #[case] most: i64,
    ) {
        let range = HistoryRange::new(at(0), at(length), step);
        let found: Vec<(i64, i64)> = range.parts().collect();
        assert_eq!(found.len(), parts, "{found:?}");
        assert!(found.iter().all(|(_, count)| (1..=most).contains(count)));
        let mut next = 0;
        for (first, count) in found {
            assert_eq!(first, next);
            next += count;
        }
        assert_eq!(next, range.instants);
    }

    fn matrix(series: &str) -> Reply {
        Reply::json(&format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#
        ))
    }

    fn source(url: &str) -> PrometheusSource {
        let workload = WorkloadRef {
            namespace: "ns".into(),
            kind: "Deployment".into(),
            name: "app".into(),
        };
        PrometheusSource::new(PrometheusSettings::new(url, workload)).unwrap()
    }

    #[tokio::test]
    async fn series_of_all_parts_are_joined() {
        let server = Server::start(|request| {
            if request.contains("kube_pod_status_ready") {
                // Scraped without `honor_labels`.
                return matrix(
                    r#"{"metric":{"pod":"ksm","exported_pod":"a"},"values":[[0,"0"],[86400,"1"]]}"#,
                );
            }
            if request.contains("kube_pod") {
                return matrix("");
            }
            if request.contains("start=0") {
                return matrix(
                    r#"{"metric":{"pod":"a"},"values":[[0,"1"],[43200,"NaN"]]},
                       {"metric":{"pod":"b"},"values":[[43200,"2"]]}"#,
                );
            }
            matrix(r#"{"metric":{"pod":"a"},"values":[[86400,"3"],[129600,"4"],[7,"9"]]}"#)
        })
        .await;
        let calls = Mutex::new(Vec::new());
        let range = HistoryRange::new(at(0), at(129_600), 43_200);
        let history = source(&server.url)
            .observe_history(range, &|done, total| {
                calls.lock().unwrap().push((done, total))
            })
            .await
            .unwrap();
        let [a, b] = history.loads.as_slice() else {
            panic!("{history:?}");
        };
        let values: Vec<Option<f64>> = (0..4).map(|index| a.at(index)).collect();
        assert_eq!(values, [Some(1.0), None, Some(3.0), Some(4.0)]);
        assert_eq!((b.at(0), b.at(1), b.at(2)), (None, Some(2.0), None));
        assert_eq!(history.ready[0].pod, "a");
        assert_eq!(
            (history.ready[0].at(0), history.ready[0].at(2)),
            (Some(0.0), Some(1.0))
        );
        assert!(history.sample_ages.is_some() && history.created.is_empty());
        assert_eq!((history.instants, history.partial.len()), (4, 0));
        // Two parts of seven queries.
        let calls = calls.into_inner().unwrap();
        assert_eq!(
            (calls.first(), calls.last()),
            (Some(&(0, 14)), Some(&(14, 14)))
        );
        let requests = server.requests();
        assert_eq!(requests.len(), 14);
        for request in &requests {
            assert!(request.contains("/api/v1/query_range"), "{request}");
            assert!(
                request.contains("step=43200") && request.contains("nocache=1"),
                "{request}"
            );
        }
    }

    #[tokio::test]
    async fn partial_part_is_marked() {
        let server = Server::start(|request| {
            let warning = if request.contains("start=86400") {
                r#","warnings":["a store is down"]"#
            } else {
                ""
            };
            Reply::json(&format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[]}}{warning}}}"#
            ))
        })
        .await;
        let range = HistoryRange::new(at(0), at(172_800), 43_200);
        let history = source(&server.url)
            .observe_history(range, &|_, _| {})
            .await
            .unwrap();
        let [span] = history.partial.as_slice() else {
            panic!("{history:?}");
        };
        assert_eq!((span.first, span.last), (2, 3));
        assert!(span.message.contains("a store is down"), "{}", span.message);
    }

    #[rstest]
    #[case::error(
        Reply::status(
            "422 Unprocessable Entity",
            r#"{"status":"error","errorType":"execution","error":"too many samples"}"#
        ),
        "too many samples"
    )]
    #[case::vector(Reply::vector(""), "vector")]
    #[case::two_of_a_pod(
        matrix(r#"{"metric":{"pod":"a","x":"1"},"values":[]},{"metric":{"pod":"a"},"values":[]}"#),
        "more than one sample for 1 pods (a)"
    )]
    #[case::no_pod(
        matrix(r#"{"metric":{"instance":"x"},"values":[[0,"1"]]}"#),
        "instance"
    )]
    #[tokio::test]
    async fn failure_names_the_query(#[case] reply: Reply, #[case] text: &str) {
        let server = Server::always(reply).await;
        let range = HistoryRange::new(at(0), at(0), 60);
        let error = source(&server.url)
            .observe_history(range, &|_, _| {})
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the load query to") && error.contains("/api/v1/query_range"),
            "{error}"
        );
        assert!(error.contains(text), "{error}");
    }
}
