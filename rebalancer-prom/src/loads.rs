//! From the responses to the load queries to one observation.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rebalancer_core::model::{
    HoldQueryResult, Load, Measurement, PastLoads, SampleFault, SampleInfo, Seconds,
};
use rebalancer_core::ports::{LoadObservation, LoadSample};

use crate::error::PromError;
use crate::labels::{CGROUP, LabelName};
use crate::response::{PartialResponse, QueryResponse, Samples};
use crate::series::ExaminedSeries;

/// The maximum number of pod names in a message.
const NAMES: usize = 5;

/// One number per pod, sorted by pod.
#[derive(Debug, Default)]
pub(crate) struct PodValues {
    values: Vec<(String, f64)>,
    pub(crate) evaluated_at: Option<Timestamp>,
    partial: Option<PartialResponse>,
}

impl PodValues {
    /// Returns the highest value.
    pub(crate) fn highest(&self) -> Option<f64> {
        let values = self.values.iter().map(|(_, value)| *value);
        values.reduce(f64::max)
    }

    /// Reduces a response to one number per pod. Drops the body.
    pub(crate) fn from_response(
        response: QueryResponse,
        pod_label: &LabelName,
    ) -> Result<Self, PromError> {
        let Samples { samples, partial } = response.samples()?;
        let mut values = Vec::with_capacity(samples.len());
        let mut evaluated_at = None;
        for sample in samples {
            let Some(pod) = sample.labels.pod(pod_label) else {
                return Err(PromError::SampleWithoutPod {
                    pod_label: pod_label.as_str().to_owned(),
                    advice: None,
                    labels: response.without_secrets(&sample.labels.to_string()),
                    sent: response.sent.clone(),
                });
            };
            let Some(value) = sample.value else {
                return Err(response.wrong_type("vector of native histograms"));
            };
            evaluated_at = evaluated_at.or_else(|| timestamp(value.at));
            values.push((pod.to_owned(), value.number));
        }
        values.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let duplicates = duplicate_pods(&values);
        if !duplicates.is_empty() {
            let shown = &duplicates[..duplicates.len().min(NAMES)];
            let mut pods = shown.join(", ");
            if duplicates.len() > NAMES {
                pods.push_str(", …");
            }
            return Err(PromError::DuplicatePods {
                count: duplicates.len(),
                pods: response.without_secrets(&pods),
                sent: response.sent,
            });
        }
        Ok(Self {
            values,
            evaluated_at,
            partial,
        })
    }

    /// The pods whose value is more than 1.
    pub(crate) fn above_one(&self) -> impl Iterator<Item = &str> {
        let above = self.values.iter().filter(|(_, value)| *value > 1.0);
        above.map(|(pod, _)| pod.as_str())
    }

    /// Whether there is no value of any pod.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn get(&self, pod: &str) -> Option<f64> {
        let index = self
            .values
            .binary_search_by(|(name, _)| name.as_str().cmp(pod))
            .ok()?;
        self.values.get(index).map(|(_, value)| *value)
    }
}

/// The pods with more than one value, each once.
fn duplicate_pods(sorted: &[(String, f64)]) -> Vec<&str> {
    let mut duplicates: Vec<&str> = sorted
        .windows(2)
        .filter_map(|pair| match pair {
            [(a, _), (b, _)] if a == b => Some(a.as_str()),
            _ => None,
        })
        .collect();
    duplicates.dedup();
    duplicates
}

/// The responses to the load queries. `None` for a query that was not sent.
#[derive(Debug, Default)]
pub(crate) struct LoadResponses {
    /// Whether the loads are those of a custom query.
    pub(crate) custom: bool,
    pub(crate) loads: PodValues,
    pub(crate) sample_ages: Option<PodValues>,
    pub(crate) series: Option<PodValues>,
    pub(crate) window_coverage: Option<PodValues>,
    /// The times of the samples of pods with several series.
    pub(crate) examined: ExaminedSeries,
    /// The loads of the outermost cgroups of pods with nested ones.
    pub(crate) outermost_loads: BTreeMap<String, f64>,
    /// The labels under which the metrics may have the pods, if there are no loads.
    pub(crate) advice: Option<String>,
    /// The result of the query for a reason to hold.
    pub(crate) hold: Option<HoldQueryResult>,
    /// The past loads.
    pub(crate) past: Option<PastLoads>,
    /// Why the responses about these pods may be incomplete.
    pub(crate) details_partial: Option<PartialResponse>,
}

/// Adds up the loads of the outermost cgroups of each pod.
pub(crate) fn outermost_loads(
    response: &QueryResponse,
    examined: &ExaminedSeries,
    pod_label: &LabelName,
) -> Result<(BTreeMap<String, f64>, Option<PartialResponse>), PromError> {
    let Samples { samples, partial } = response.samples()?;
    let mut loads: BTreeMap<String, f64> = BTreeMap::new();
    for sample in samples {
        let (Some(pod), Some(cgroup), Some(value)) = (
            sample.labels.pod(pod_label),
            sample.labels.get(CGROUP),
            sample.value,
        ) else {
            continue;
        };
        let outermost = examined.outermost.get(pod);
        if outermost.is_some_and(|outermost| outermost.contains(cgroup)) {
            *loads.entry(pod.to_owned()).or_default() += value.number;
        }
    }
    Ok((loads, partial))
}

impl LoadResponses {
    /// Combines the responses into one observation. A pod without a load (it may be too young for a
    /// rate) is not part of it.
    pub(crate) fn into_observation(self) -> LoadObservation {
        let partial = self.responses().map(|response| response.partial.as_ref());
        let partial = partial.chain([self.details_partial.as_ref()]).flatten();
        let partial: Vec<_> = partial.map(ToString::to_string).collect();
        // A response without samples has no evaluation time, so a later response may provide it.
        let evaluated_at = self.responses().find_map(|response| response.evaluated_at);
        let Self {
            custom,
            loads,
            sample_ages,
            series,
            window_coverage,
            examined,
            outermost_loads,
            advice,
            hold,
            past,
            details_partial: _,
        } = self;
        let value = |values: &Option<PodValues>, pod: &str| {
            values.as_ref().and_then(|values| values.get(pod))
        };
        // A pod whose series could not be examined counts as having duplicates. A pod with nested
        // cgroups and without their loads was counted more than once.
        let simultaneous = |pod: &str| {
            let counted = value(&series, pod).map_or(1, series_count);
            let nested = examined.outermost.contains_key(pod);
            match examined.simultaneous.get(pod) {
                Some(_) if nested && !outermost_loads.contains_key(pod) => counted,
                Some(simultaneous) => *simultaneous,
                None => counted,
            }
        };
        let samples = loads.values.into_iter().map(|(pod, number)| LoadSample {
            measurement: Measurement::new(
                load(outermost_loads.get(&pod).copied().unwrap_or(number)),
                SampleInfo {
                    age: value(&sample_ages, &pod).and_then(age),
                    series: simultaneous(&pod),
                    window_covered: window_coverage.is_none()
                        || value(&window_coverage, &pod).is_some(),
                },
            ),
            pod,
        });
        LoadObservation {
            samples: samples.collect(),
            partial: (!partial.is_empty()).then(|| partial.join("; ")),
            freshness_known: sample_ages.is_some(),
            custom,
            evaluated_at,
            nested_cgroups: outermost_loads.into_keys().collect(),
            duplicates: examined.duplicates,
            advice,
            hold,
            past_loads: past,
        }
    }

    fn responses(&self) -> impl Iterator<Item = &PodValues> {
        let others = [&self.sample_ages, &self.series, &self.window_coverage];
        std::iter::once(&self.loads).chain(others.into_iter().flatten())
    }
}

/// The time of a number of seconds since 1970; `None` if the number is not a valid timestamp.
fn timestamp(seconds: f64) -> Option<Timestamp> {
    let since_1970 = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since_1970).ok()
}

fn load(value: f64) -> Result<Load, SampleFault> {
    if value.is_finite() {
        Load::new(value).map_err(|_| SampleFault::Negative)
    } else {
        Err(SampleFault::NotFinite)
    }
}

/// The age of a sample. A negative age is the result of clocks that differ a little: the sample is
/// fresh. NaN is not an age.
fn age(value: f64) -> Option<Seconds> {
    if value < 0.0 {
        Some(Seconds::ZERO)
    } else {
        Seconds::new(value).ok()
    }
}

/// The number of series of a container, at least 1 because the container has a load.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and turns NaN into 0"
)]
fn series_count(count: f64) -> u32 {
    (count as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn values(pairs: &[(&str, f64)]) -> PodValues {
        PodValues {
            values: pairs.iter().map(|(p, v)| ((*p).to_owned(), *v)).collect(),
            evaluated_at: None,
            partial: None,
        }
    }

    fn evaluated(seconds: f64) -> PodValues {
        PodValues {
            evaluated_at: timestamp(seconds),
            ..PodValues::default()
        }
    }

    #[rstest]
    #[case(1.25, Ok(1.25))]
    #[case(0.0, Ok(0.0))]
    #[case(-0.0, Ok(0.0))]
    #[case(-1e-9, Err(SampleFault::Negative))]
    #[case(f64::NAN, Err(SampleFault::NotFinite))]
    #[case(f64::INFINITY, Err(SampleFault::NotFinite))]
    #[case(f64::NEG_INFINITY, Err(SampleFault::NotFinite))]
    fn invalid_load_is_a_fault_of_the_sample(
        #[case] value: f64,
        #[case] expected: Result<f64, SampleFault>,
    ) {
        assert_eq!(load(value).map(Load::get), expected);
    }

    #[rstest]
    #[case(12.5, Some(12.5))]
    #[case(-0.2, Some(0.0))]
    #[case(f64::NAN, None)]
    #[case(f64::INFINITY, None)]
    fn age_is_never_negative(#[case] value: f64, #[case] expected: Option<f64>) {
        assert_eq!(age(value).map(Seconds::get), expected);
    }

    #[rstest]
    #[case(2.0, 2)]
    #[case(1.0, 1)]
    #[case(0.0, 1)]
    #[case(f64::NAN, 1)]
    #[case(f64::INFINITY, u32::MAX)]
    fn series_count_is_at_least_one(#[case] value: f64, #[case] expected: u32) {
        assert_eq!(series_count(value), expected);
    }

    #[test]
    fn responses_are_joined_by_pod() {
        let observation = LoadResponses {
            custom: false,
            loads: values(&[("a", 1.0), ("b", 2.0)]),
            sample_ages: Some(values(&[("b", 3.0), ("c", 4.0)])),
            series: Some(values(&[("a", 2.0)])),
            window_coverage: Some(values(&[("b", 1.0)])),
            ..LoadResponses::default()
        }
        .into_observation();
        let summary: Vec<_> = observation
            .samples
            .iter()
            .map(|s| {
                let samples = s.measurement.samples();
                let age = samples.age.map(Seconds::get);
                (s.pod.as_str(), age, samples.series, samples.window_covered)
            })
            .collect();
        assert_eq!(summary, [("a", None, 2, false), ("b", Some(3.0), 1, true)]);
        assert!(observation.freshness_known && !observation.custom);
        assert_eq!(observation.partial, None);
        assert_eq!(observation.evaluated_at, None);
    }

    #[test]
    fn window_of_a_custom_query_counts_as_covered() {
        let observation = LoadResponses {
            custom: true,
            loads: values(&[("a", 1.0)]),
            ..LoadResponses::default()
        }
        .into_observation();
        assert!(observation.custom && !observation.freshness_known);
        assert!(
            observation
                .samples
                .iter()
                .all(|s| s.measurement.samples().window_covered)
        );
    }

    #[rstest]
    #[case(1.5, Some(1_500))]
    #[case(0.0, Some(0))]
    #[case(-1.0, Some(-1_000))]
    #[case(1e30, None)]
    #[case(1e15, None)]
    #[case(f64::NAN, None)]
    fn invalid_timestamp_is_none(#[case] seconds: f64, #[case] millisecond: Option<i64>) {
        assert_eq!(
            timestamp(seconds).map(Timestamp::as_millisecond),
            millisecond
        );
    }

    #[test]
    fn evaluation_time_is_that_of_the_first_response_with_samples() {
        let observation = LoadResponses {
            sample_ages: Some(PodValues::default()),
            series: Some(evaluated(2.0)),
            window_coverage: Some(evaluated(3.0)),
            ..LoadResponses::default()
        }
        .into_observation();
        assert_eq!(observation.evaluated_at, timestamp(2.0));
    }
}
