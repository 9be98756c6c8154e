//! From the answers of the three queries to one observation.

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
    partial: Option<PartialAnswer>,
}

impl PodValues {
    /// Reduces an answer to one number a pod; the body is dropped with the answer.
    pub(crate) fn from_answer(answer: Answer) -> Result<Self, PromError> {
        let Samples { samples, partial } = answer.samples()?;
        let mut values = Vec::with_capacity(samples.len());
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
            values.push((pod.to_owned(), value.0));
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
        Ok(Self { values, partial })
    }

    fn get(&self, pod: &str) -> Option<f64> {
        let index = self
            .values
            .binary_search_by(|(name, _)| name.as_str().cmp(pod))
            .ok()?;
        self.values.get(index).map(|(_, value)| *value)
    }
}

/// Puts the answers together. A pod that only the freshness or the copies know has no load (it
/// is too young for a rate, say) and does not appear.
pub(crate) fn observation(
    loads: PodValues,
    ages: Option<PodValues>,
    copies: Option<PodValues>,
) -> LoadObservation {
    let partial: Vec<_> = [
        loads.partial.as_ref(),
        ages.as_ref().and_then(|ages| ages.partial.as_ref()),
        copies.as_ref().and_then(|copies| copies.partial.as_ref()),
    ]
    .into_iter()
    .flatten()
    .map(ToString::to_string)
    .collect();
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
            window_covered: true,
            pod,
        })
        .collect();
    LoadObservation {
        samples,
        partial: (!partial.is_empty()).then(|| partial.join("; ")),
        freshness_known,
        custom: false,
        evaluated_at: None,
    }
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
            partial: None,
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
    fn the_three_answers_meet_by_pod() {
        let observation = observation(
            values(&[("a", 1.0), ("b", 2.0)]),
            Some(values(&[("b", 3.0), ("c", 4.0)])),
            Some(values(&[("a", 2.0)])),
        );
        let summary: Vec<_> = observation
            .samples
            .iter()
            .map(|s| (s.pod.as_str(), s.age.map(Seconds::get), s.series))
            .collect();
        assert_eq!(summary, [("a", None, 2), ("b", Some(3.0), 1)]);
        assert!(observation.freshness_known);
        assert_eq!(observation.partial, None);
    }
}
