//! The metrics of the past, as series of each pod.

use jiff::{SignedDuration, Timestamp};

use crate::model::WorkloadRef;

/// The metrics of a workload's namespace and container at equal intervals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricsHistory {
    /// The first time.
    pub start: Timestamp,
    /// The interval between two times.
    pub step: SignedDuration,
    /// The number of times.
    pub instants: usize,
    /// The load of each pod.
    pub loads: Vec<PodSeries>,
    /// The age of the newest sample behind each load, in seconds; `None` if ages are not known.
    pub sample_ages: Option<Vec<PodSeries>>,
    /// The number of series of each container; `None` with a custom load query.
    pub series_counts: Option<Vec<PodSeries>>,
    /// The pods with samples in the first half of the rate window; `None` with a custom load query.
    pub window_coverage: Option<Vec<PodSeries>>,
    /// Whether each pod was ready (1) or not (0), by kube-state-metrics. Empty if unknown.
    pub ready: Vec<PodSeries>,
    /// The time at which each pod was created, in seconds since 1970, by kube-state-metrics.
    pub created: Vec<PodSeries>,
    /// The CPU request of each pod's container in cores, by kube-state-metrics.
    pub requests: Vec<PodSeries>,
    /// Whether the loads come from a custom query.
    pub custom: bool,
    /// The parts of the history that may be incomplete.
    pub partial: Vec<PartialSpan>,
}

/// A part of a history that may be incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialSpan {
    /// The index of the first time.
    pub first: usize,
    /// The index of the last time.
    pub last: usize,
    /// Why the part may be incomplete, as the server reports it.
    pub message: String,
}

/// The values of one pod at consecutive times.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSeries {
    /// The name of the pod.
    pub pod: String,
    /// The index of the first value's time.
    pub first: usize,
    /// The values; NaN where there is none.
    pub values: Vec<f64>,
}

impl PodSeries {
    /// A series without values.
    pub fn new(pod: impl Into<String>) -> Self {
        Self {
            pod: pod.into(),
            first: 0,
            values: Vec::new(),
        }
    }

    /// Sets the value at an index. NaN is no value.
    pub fn set(&mut self, index: usize, value: f64) {
        if value.is_nan() {
            return;
        }
        if self.values.is_empty() {
            self.first = index;
        }
        if index < self.first {
            let gap = self.first - index;
            self.values.splice(0..0, std::iter::repeat_n(f64::NAN, gap));
            self.first = index;
        }
        let offset = index - self.first;
        if offset >= self.values.len() {
            self.values.resize(offset + 1, f64::NAN);
        }
        if let Some(entry) = self.values.get_mut(offset) {
            *entry = value;
        }
    }

    /// The value at an index, if there is one.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<f64> {
        let value = self.values.get(index.checked_sub(self.first)?)?;
        (!value.is_nan()).then_some(*value)
    }
}

impl MetricsHistory {
    /// The time with an index.
    #[must_use]
    pub fn at(&self, index: usize) -> Timestamp {
        let steps = i32::try_from(index).unwrap_or(i32::MAX);
        let offset = self.step.checked_mul(steps).unwrap_or(SignedDuration::MAX);
        self.start.checked_add(offset).unwrap_or(Timestamp::MAX)
    }

    /// Why the metrics at an index may be incomplete.
    pub(super) fn partial_at(&self, index: usize) -> Option<&str> {
        let mut partial = self.partial.iter();
        let span = partial.find(|span| (span.first..=span.last).contains(&index));
        span.map(|span| span.message.as_str())
    }
}

/// Whether a pod belongs to a workload, by its name: the name of a Deployment's pod is that of the
/// Deployment with the hash of the template and five random characters, and that of a StatefulSet's
/// has an ordinal. Other kinds have any suffix.
pub(super) fn is_named_after(workload: &WorkloadRef, pod: &str) -> bool {
    let Some(suffix) = pod
        .strip_prefix(workload.name.as_str())
        .and_then(|rest| rest.strip_prefix('-'))
    else {
        return false;
    };
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match workload.kind.as_str() {
        "StatefulSet" => !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit()),
        "Deployment" => suffix
            .split_once('-')
            .is_some_and(|(hash, random)| is_word(hash) && is_word(random) && random.len() == 5),
        _ => !suffix.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn values_have_indices_and_gaps() {
        let mut series = PodSeries::new("a");
        for (index, value) in [(3, 1.0), (4, f64::NAN), (5, 2.0), (1, 9.0)] {
            series.set(index, value);
        }
        let values: Vec<Option<f64>> = (0..7).map(|index| series.at(index)).collect();
        assert_eq!(
            values,
            [None, Some(9.0), None, Some(1.0), None, Some(2.0), None]
        );
        assert_eq!(series.first, 1);
    }

    #[rstest]
    #[case("Deployment", "orders-6b7b87f58f-4r8hp", true)]
    #[case("Deployment", "orders-api-6b7b87f58f-4r8hp", false)]
    #[case("Deployment", "orders-0", false)]
    #[case("Deployment", "orders-6b7b87f58f-4r8h", false)]
    #[case("Deployment", "orders", false)]
    #[case("StatefulSet", "orders-10", true)]
    #[case("StatefulSet", "orders-", false)]
    #[case("StatefulSet", "orders-6b7b87f58f-4r8hp", false)]
    #[case("Rollout.v1alpha1.argoproj.io", "orders-6b7b-4r8hp", true)]
    #[case("Rollout.v1alpha1.argoproj.io", "other-6b7b-4r8hp", false)]
    fn pods_are_recognised_by_their_names(
        #[case] kind: &str,
        #[case] pod: &str,
        #[case] expected: bool,
    ) {
        let workload = WorkloadRef {
            namespace: "shop".into(),
            kind: kind.into(),
            name: "orders".into(),
        };
        assert_eq!(is_named_after(&workload, pod), expected);
    }
}
