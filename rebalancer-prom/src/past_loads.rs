//! Past loads of the pods.
//!
//! They are the values of the load query at regular times, which a subquery returns: an instant
//! query, as the proxies in front of some servers allow no other.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::model::{Load, PastLoad, PastLoads, Seconds};

use crate::error::PromError;
use crate::labels::{CGROUP, LabelName};
use crate::response::{PartialResponse, QueryResponse, Samples};
use crate::series::ExaminedSeries;

/// The number of loads of each pod that are read.
const POINTS: u32 = 15;
/// The shortest distance of two loads.
const SHORTEST_STEP: Duration = Duration::from_secs(1);

/// The distance of the loads over `length`, in whole milliseconds.
pub(crate) fn step(length: Duration) -> Duration {
    let millis = (length / POINTS).as_millis();
    let step = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    step.max(SHORTEST_STEP)
}

/// The loads of each pod by time, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct PastValues {
    pods: BTreeMap<String, BTreeMap<i64, f64>>,
    pub(crate) partial: Option<PartialResponse>,
}

impl PastValues {
    /// Reads the loads of each pod. Several series of a pod, as a custom query has for a pod that
    /// was created again with other labels, are one; at the same time the lower load counts.
    pub(crate) fn from_response(
        response: &QueryResponse,
        pod_label: &LabelName,
    ) -> Result<Self, PromError> {
        let Samples { samples, partial } = response.range()?;
        let mut past = Self {
            partial,
            ..Self::default()
        };
        for series in samples {
            let Some(pod) = series.labels.pod(pod_label) else {
                return Err(PromError::SampleWithoutPod {
                    pod_label: pod_label.as_str().to_owned(),
                    advice: None,
                    labels: response.without_secrets(&series.labels.to_string()),
                    sent: response.sent.clone(),
                });
            };
            let loads = past.pods.entry(pod.to_owned()).or_default();
            for value in series.values {
                let load = loads.entry(millis(value.at)).or_insert(value.number);
                *load = load.min(value.number);
            }
        }
        Ok(past)
    }

    /// Replaces the loads of pods with nested cgroups by the sums of their outermost ones.
    pub(crate) fn replace_nested(
        &mut self,
        response: &QueryResponse,
        examined: &ExaminedSeries,
        pod_label: &LabelName,
    ) -> Result<(), PromError> {
        let Samples { samples, partial } = response.range()?;
        let mut sums: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
        for series in samples {
            let (Some(pod), Some(cgroup)) =
                (series.labels.pod(pod_label), series.labels.get(CGROUP))
            else {
                continue;
            };
            let outermost = examined.outermost.get(pod);
            if outermost.is_some_and(|outermost| outermost.contains(cgroup)) {
                let loads = sums.entry(pod.to_owned()).or_default();
                for value in series.values {
                    *loads.entry(millis(value.at)).or_default() += value.number;
                }
            }
        }
        self.pods.extend(sums);
        self.partial = self.partial.take().or(partial);
        Ok(())
    }

    /// The loads, relative to the evaluation time of the current ones. A value that is not a load
    /// is left out, as if it were missing.
    pub(crate) fn into_loads(self, now: Timestamp, step: Duration) -> PastLoads {
        let now = now.as_millisecond();
        let pods = self.pods.into_iter().map(|(pod, loads)| {
            let loads = loads.into_iter().rev();
            let past = loads.filter_map(|(at, load)| {
                Some(PastLoad {
                    age_seconds: age(now, at)?,
                    load: Load::new(load).ok()?,
                })
            });
            (pod, past.collect())
        });
        PastLoads {
            step_seconds: step.into(),
            pods: pods.collect(),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a time, far below the limit"
)]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "an age, far below the limit")]
fn age(now: i64, at: i64) -> Option<Seconds> {
    Seconds::new((now.saturating_sub(at).max(0)) as f64 / 1000.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(900, 60_000)]
    #[case(100, 6_666)]
    #[case(5, 1_000)]
    #[case(0, 1_000)]
    fn step_is_a_fifteenth_of_the_duration(#[case] seconds: u64, #[case] step_millis: u64) {
        let expected = Duration::from_millis(step_millis);
        assert_eq!(step(Duration::from_secs(seconds)), expected);
    }

    #[test]
    fn values_that_are_no_loads_are_left_out() {
        let values = [
            (1_000, 1.5),
            (2_000, f64::NAN),
            (3_000, -1.0),
            (11_500, 0.5),
        ];
        let past = PastValues {
            pods: BTreeMap::from([("a".to_owned(), BTreeMap::from(values))]),
            partial: None,
        };
        let past = past.into_loads(
            "1970-01-01T00:00:11Z".parse().unwrap(),
            Duration::from_secs(60),
        );
        let loads: Vec<(f64, f64)> = past.pods["a"]
            .iter()
            .map(|past| (past.age_seconds.get(), past.load.get()))
            .collect();
        assert_eq!(loads, [(0.0, 0.5), (10.0, 1.5)]);
    }
}
