//! From the answers of the four queries to one observation.

use jiff::{SignedDuration, Timestamp};
use rebalancer_core::model::{Load, SampleFault, Seconds};
use rebalancer_core::ports::{LoadObservation, LoadSample};

use crate::error::PromError;
use crate::transport::{Answer, PartialAnswer, Samples};

/// How many names of pods a message lists.
const NAMES: usize = 5;

/// One number a pod, sorted by pod.
#[derive(Debug, Default)]
pub(crate) struct PodValues {
    values: Vec<(String, f64)>,
    evaluated_at: Option<Timestamp>,
    partial: Option<PartialAnswer>,
}

impl PodValues {
    /// Reduces an answer to one number a pod; the body is dropped with the answer.
    pub(crate) fn from_answer(answer: Answer) -> Result<Self, PromError> {
        let Samples { samples, partial } = answer.samples()?;
        let mut values = Vec::with_capacity(samples.len());
        let mut evaluated_at = None;
        for sample in samples {
            let Some(pod) = sample.labels.get("pod") else {
                return Err(PromError::SampleWithoutPod {
                    labels: answer.words(&sample.labels.to_string()),
                    asked: answer.asked.clone(),
                });
            };
            let Some(value) = sample.value else {
                return Err(answer.wrong_type("vector of native histograms"));
            };
            evaluated_at = evaluated_at.or_else(|| instant(value.at));
            values.push((pod.to_owned(), value.number));
        }
        values.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut doubled: Vec<&str> = values
            .windows(2)
            .filter_map(|pair| match pair {
                [(a, _), (b, _)] if a == b => Some(a.as_str()),
                _ => None,
            })
            .collect();
        doubled.dedup();
        if !doubled.is_empty() {
            let mut pods = doubled
                .iter()
                .take(NAMES)
                .copied()
                .collect::<Vec<_>>()
                .join(", ");
            if doubled.len() > NAMES {
                pods.push_str(", …");
            }
            return Err(PromError::DuplicatePods {
                count: doubled.len(),
                pods: answer.words(&pods),
                asked: answer.asked,
            });
        }
        Ok(Self {
            values,
            evaluated_at,
            partial,
        })
    }

    fn get(&self, pod: &str) -> Option<f64> {
        let index = self
            .values
            .binary_search_by(|(name, _)| name.as_str().cmp(pod))
            .ok()?;
        self.values.get(index).map(|(_, value)| *value)
    }
}

/// Puts the answers together; `custom` is whether the loads are those of a custom query. A pod that
/// only the other answers know has no load (it is too young for a rate, say) and does not appear.
pub(crate) fn observation(
    custom: bool,
    loads: PodValues,
    ages: Option<PodValues>,
    copies: Option<PodValues>,
    first_half: Option<PodValues>,
) -> LoadObservation {
    let answers = || {
        let beside = [&ages, &copies, &first_half].into_iter().flatten();
        std::iter::once(&loads).chain(beside)
    };
    let partial: Vec<_> = answers()
        .filter_map(|answer| answer.partial.as_ref().map(ToString::to_string))
        .collect();
    // Without a load there may still be ages; only an answer without samples has no time.
    let evaluated_at = answers().find_map(|answer| answer.evaluated_at);
    let freshness_known = ages.is_some();
    let samples = loads
        .values
        .into_iter()
        .map(|(pod, value)| LoadSample {
            load: load(value),
            age: ages.as_ref().and_then(|ages| ages.get(&pod)).and_then(age),
            series: copies
                .as_ref()
                .and_then(|copies| copies.get(&pod))
                .map_or(1, series),
            window_covered: first_half
                .as_ref()
                .is_none_or(|first_half| first_half.get(&pod).is_some()),
            pod,
        })
        .collect();
    LoadObservation {
        samples,
        partial: (!partial.is_empty()).then(|| partial.join("; ")),
        freshness_known,
        custom,
        evaluated_at,
    }
}

/// What is no time is not known.
fn instant(seconds: f64) -> Option<Timestamp> {
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

/// A sample from the future comes from clocks that differ a little: it is fresh. NaN is no age.
fn age(value: f64) -> Option<Seconds> {
    if value < 0.0 {
        Some(Seconds::ZERO)
    } else {
        Seconds::new(value).ok()
    }
}

/// A count as PromQL gives it; that a container with a load was found less than once is no
/// news about doubling.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and turns NaN into 0"
)]
fn series(count: f64) -> u32 {
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
            evaluated_at: instant(seconds),
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
    fn what_is_no_load_is_a_fault_of_the_pod(
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
    fn an_age_is_never_negative(#[case] value: f64, #[case] expected: Option<f64>) {
        assert_eq!(age(value).map(Seconds::get), expected);
    }

    #[rstest]
    #[case(2.0, 2)]
    #[case(1.0, 1)]
    #[case(0.0, 1)]
    #[case(f64::NAN, 1)]
    #[case(f64::INFINITY, u32::MAX)]
    fn a_count_is_at_least_one(#[case] value: f64, #[case] expected: u32) {
        assert_eq!(series(value), expected);
    }

    #[test]
    fn the_four_answers_meet_by_pod() {
        let observation = observation(
            false,
            values(&[("a", 1.0), ("b", 2.0)]),
            Some(values(&[("b", 3.0), ("c", 4.0)])),
            Some(values(&[("a", 2.0)])),
            Some(values(&[("b", 1.0)])),
        );
        let summary: Vec<_> = observation
            .samples
            .iter()
            .map(|s| {
                let age = s.age.map(Seconds::get);
                (s.pod.as_str(), age, s.series, s.window_covered)
            })
            .collect();
        assert_eq!(summary, [("a", None, 2, false), ("b", Some(3.0), 1, true)]);
        assert!(observation.freshness_known && !observation.custom);
        assert_eq!(observation.partial, None);
        assert_eq!(observation.evaluated_at, None);
    }

    #[test]
    fn of_a_custom_query_the_window_is_not_known() {
        let observation = observation(true, values(&[("a", 1.0)]), None, None, None);
        assert!(observation.custom && !observation.freshness_known);
        assert!(observation.samples.iter().all(|s| s.window_covered));
    }

    #[rstest]
    #[case(1.5, Some(1_500))]
    #[case(0.0, Some(0))]
    #[case(-1.0, Some(-1_000))]
    #[case(1e30, None)]
    #[case(1e15, None)]
    #[case(f64::NAN, None)]
    fn what_is_no_time_is_not_known(#[case] seconds: f64, #[case] millisecond: Option<i64>) {
        assert_eq!(instant(seconds).map(Timestamp::as_millisecond), millisecond);
    }

    #[test]
    fn the_time_is_that_of_the_first_answer_with_samples() {
        let observation = observation(
            false,
            PodValues::default(),
            Some(PodValues::default()),
            Some(evaluated(2.0)),
            Some(evaluated(3.0)),
        );
        assert_eq!(observation.evaluated_at, instant(2.0));
    }
}
