//! The series of one container: duplicates, restarts, nested cgroups.
//!
//! Several series of a container are harmless if they follow each other: a restarted container gets
//! a new cgroup, and a pod of a StatefulSet that is created again keeps its name. Each series then
//! covers its own part of the rate window, and the sum of their rates is the load. Series that have
//! samples *at the same time* are duplicates, and the sum counts the container more than once,
//! whichever label differs. The times of the samples tell both cases apart. An instant query
//! cannot: both servers return a series that ended for some minutes (VictoriaMetrics always,
//! Prometheus if the samples have timestamps of their own, as those of cadvisor).
//!
//! One case of duplicates is certain: a cgroup contains the usage of the cgroups below it. If
//! series differ only in `id`, and one `id` is the path of another's ancestor, the outermost one
//! counts.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::model::DifferingLabel;
use rebalancer_core::ports::DuplicateSeries;

use crate::envelope::{Labels, RawSeries, SampleTimes};
use crate::labels::{CGROUP, CPU, LabelNames};

/// The assumed interval of a series with a single sample, in seconds.
const USUAL_INTERVAL: f64 = 60.0;
/// The number of scrape intervals for which a container that has ended may still be reported beside
/// its successor.
const TOLERATED_INTERVALS: f64 = 2.0;

/// The result of examining the series of several pods.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ExaminedSeries {
    /// Number of series of each pod that have samples at the same time. Nested cgroups count once.
    pub(crate) simultaneous: BTreeMap<String, u32>,
    /// The pods with more than one of them.
    pub(crate) duplicates: Vec<DuplicateSeries>,
    /// The cgroups that contain another one's, or are not nested, of each pod with nested cgroups.
    pub(crate) outermost: BTreeMap<String, BTreeSet<String>>,
}

impl ExaminedSeries {
    /// Examines series of containers: one container for each pod. Samples older than `window`
    /// seconds before the newest sample show when a series began; a series that ended before does
    /// not count.
    pub(crate) fn of(series: &[RawSeries<'_>], names: &LabelNames, window: f64) -> Self {
        let newest = series.iter().map(|series| series.values.last);
        let newest = newest.fold(0.0, f64::max);
        let mut pods: BTreeMap<&str, Vec<&RawSeries<'_>>> = BTreeMap::new();
        for series in series {
            let contributes = series.values.count > 0 && series.values.last > newest - window;
            if let Some(pod) = series.labels.pod(&names.pod).filter(|_| contributes) {
                pods.entry(pod).or_default().push(series);
            }
        }
        let mut examined = Self::default();
        for (pod, series) in pods {
            examined.add(pod, &series, names);
        }
        examined
    }

    fn add(&mut self, pod: &str, series: &[&RawSeries<'_>], names: &LabelNames) {
        let (nested, outer): (Vec<&RawSeries<'_>>, Vec<&RawSeries<'_>>) =
            series.iter().partition(|inner| {
                let mut others = series.iter();
                others.any(|outer| contains(outer, inner) && simultaneous(outer, inner))
            });
        if !nested.is_empty() {
            let outermost = outer.iter().filter_map(|series| series.labels.get(CGROUP));
            let outermost = outermost.map(str::to_owned).collect();
            self.outermost.insert(pod.to_owned(), outermost);
        }
        let same_time = outer.iter().map(|series| {
            let others = outer.iter().filter(|other| {
                std::ptr::eq(**other, *series)
                    || (same_cpu(other, series) && simultaneous(other, series))
            });
            others.copied().collect::<Vec<_>>()
        });
        let Some(most) = same_time.max_by_key(Vec::len) else {
            return;
        };
        let count = u32::try_from(most.len()).unwrap_or(u32::MAX);
        self.simultaneous.insert(pod.to_owned(), count);
        if count > 1 {
            self.duplicates.push(DuplicateSeries {
                pod: pod.to_owned(),
                labels: differing_labels(&most, names),
            });
        }
    }

    /// Adds the result of other pods.
    pub(crate) fn extend(&mut self, other: Self) {
        self.simultaneous.extend(other.simultaneous);
        self.duplicates.extend(other.duplicates);
        self.outermost.extend(other.outermost);
    }
}

/// Whether two series have samples at the same time for longer than a container that has ended may
/// still be reported.
fn simultaneous(a: &RawSeries<'_>, b: &RawSeries<'_>) -> bool {
    let (earlier, later) = if (a.values.first, a.values.last) <= (b.values.first, b.values.last) {
        (a.values, b.values)
    } else {
        (b.values, a.values)
    };
    let common = earlier.last.min(later.last) - later.first;
    let tolerated = TOLERATED_INTERVALS * interval(earlier);
    let has_ended = later.last - earlier.last > tolerated;
    // Series that begin together are of the same container, however short they are.
    let begin_together = earlier.first >= later.first;
    (common > 0.0 || begin_together) && !(has_ended && common <= tolerated)
}

/// The mean time between two samples, in seconds.
fn interval(times: SampleTimes) -> f64 {
    match times.count {
        0 | 1 => USUAL_INTERVAL,
        count => (times.last - times.first) / f64::from(count - 1),
    }
}

fn same_cpu(a: &RawSeries<'_>, b: &RawSeries<'_>) -> bool {
    a.labels.get(CPU) == b.labels.get(CPU)
}

/// Whether the cgroup of `outer` contains that of `inner`, and nothing else differs.
fn contains(outer: &RawSeries<'_>, inner: &RawSeries<'_>) -> bool {
    let (Some(outer_id), Some(inner_id)) = (outer.labels.get(CGROUP), inner.labels.get(CGROUP))
    else {
        return false;
    };
    let below = inner_id.strip_prefix(outer_id.trim_end_matches('/'));
    below.is_some_and(|below| below.len() > 1 && below.starts_with('/'))
        && others(&outer.labels) == others(&inner.labels)
}

/// The labels other than the cgroup.
fn others<'a>(labels: &'a Labels<'_>) -> BTreeMap<&'a str, &'a str> {
    let labels = labels.iter();
    let labels = labels.filter(|(name, value)| *name != CGROUP && !value.is_empty());
    labels.collect()
}

/// The labels whose values differ among the series, sorted by name.
fn differing_labels(series: &[&RawSeries<'_>], names: &LabelNames) -> Vec<DifferingLabel> {
    let known = [
        names.pod.as_str(),
        names.namespace.as_str(),
        names.container.as_str(),
        "__name__",
    ];
    let labels = series.iter().flat_map(|series| series.labels.iter());
    let label_names: BTreeSet<&str> = labels
        .map(|(name, _)| name)
        .filter(|name| !known.contains(name))
        .collect();
    let values = |name: &str| -> BTreeSet<&str> {
        let values = series.iter().map(|series| series.labels.get(name));
        values.map(Option::unwrap_or_default).collect()
    };
    label_names
        .into_iter()
        .map(|name| (name, values(name)))
        .filter(|(_, values)| values.len() > 1)
        .map(|(name, values)| DifferingLabel {
            name: name.to_owned(),
            values: values.into_iter().map(str::to_owned).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: i64 = 10_000;
    const WINDOW: f64 = 300.0;

    /// A series with a sample every 15 seconds, from and to ages in seconds.
    fn series(labels: &str, from: i64, to: i64) -> String {
        let values: Vec<String> = (to..=from)
            .rev()
            .step_by(15)
            .map(|age| format!(r#"[{},"{age}"]"#, NOW - age))
            .collect();
        let labels: String = labels
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| format!(r#","{name}":"{value}""#))
            .collect();
        format!(
            r#"{{"metric":{{"namespace":"ns","pod":"p","container":"c"{labels}}},"values":[{}]}}"#,
            values.join(",")
        )
    }

    fn examine(series: &[String]) -> ExaminedSeries {
        let json = format!("[{}]", series.join(","));
        let series: Vec<RawSeries<'_>> = serde_json::from_str(&json).unwrap();
        ExaminedSeries::of(&series, &LabelNames::default(), WINDOW)
    }

    fn differing(examined: &ExaminedSeries) -> Vec<(&str, Vec<&str>)> {
        let labels = examined.duplicates.iter().flat_map(|found| &found.labels);
        labels
            .map(|label| {
                let values = label.values.iter().map(String::as_str);
                (label.name.as_str(), values.collect())
            })
            .collect()
    }

    #[rstest]
    #[case::alone(&[("id=/a", 600, 5)], 1)]
    #[case::two_jobs(&[("job=x id=/a", 600, 5), ("job=y id=/a", 600, 2)], 2)]
    #[case::three_jobs(&[("job=x", 600, 5), ("job=y", 600, 2), ("job=z", 600, 0)], 3)]
    #[case::two_paths(&[("metrics_path=/a", 600, 5), ("metrics_path=/b", 600, 5)], 2)]
    #[case::two_clusters(&[("cluster=a id=/1", 600, 5), ("cluster=b id=/2", 600, 9)], 2)]
    #[case::cgroups(&[("id=/a/1", 600, 5), ("id=/a/2", 600, 5)], 2)]
    #[case::label_of_one_series(&[("", 600, 5), ("scraped=twice", 600, 5)], 2)]
    #[case::slow_job(&[("job=x", 600, 5), ("job=y", 600, 120)], 2)]
    #[case::job_that_ended(&[("job=x", 600, 5), ("job=y", 600, 200)], 2)]
    #[case::job_that_began(&[("job=x", 600, 5), ("job=y", 45, 0)], 2)]
    #[case::both_young(&[("job=x", 20, 5), ("job=y", 17, 2)], 2)]
    #[case::both_with_one_sample(&[("job=x", 5, 5), ("job=y", 5, 5)], 2)]
    #[case::restart(&[("id=/a", 600, 120), ("id=/b", 105, 0)], 1)]
    #[case::restart_by_name(&[("name=c1", 600, 120), ("name=c2", 118, 0)], 1)]
    #[case::restart_a_moment_ago(&[("id=/a", 600, 20), ("id=/b", 5, 5)], 1)]
    #[case::restart_within_a_scrape(&[("id=/a", 600, 120), ("id=/b", 120, 0)], 1)]
    #[case::restart_that_reports_both(&[("id=/a", 600, 120), ("id=/b", 150, 0)], 1)]
    #[case::several_restarts(
        &[("id=/a", 600, 250), ("id=/b", 240, 180), ("id=/c", 170, 60), ("id=/d", 45, 0)], 1
    )]
    #[case::restart_in_two_jobs(
        &[("job=x id=/a", 600, 120), ("job=y id=/a", 600, 122), ("job=x id=/b", 105, 0),
          ("job=y id=/b", 107, 2)],
        2
    )]
    #[case::ended_before_the_window(&[("job=x", 600, 5), ("job=y", 600, 310)], 1)]
    #[case::each_cpu(&[("cpu=cpu0", 600, 5), ("cpu=cpu1", 600, 5)], 1)]
    #[case::each_cpu_twice(
        &[("cpu=0 job=x", 600, 5), ("cpu=1 job=x", 600, 5), ("cpu=0 job=y", 600, 5),
          ("cpu=1 job=y", 600, 5)],
        2
    )]
    #[case::nested(&[("id=/a", 600, 5), ("id=/a/container", 600, 5)], 1)]
    #[case::nested_twice(&[("id=/a/b/c", 600, 5), ("id=/a", 600, 5), ("id=/a/b", 600, 5)], 1)]
    #[case::nested_and_restarted(
        &[("id=/a", 600, 120), ("id=/a/x", 600, 120), ("id=/b", 105, 0), ("id=/b/x", 105, 0)], 1
    )]
    #[case::nested_in_another_image(
        &[("id=/a image=1", 600, 5), ("id=/a/container image=2", 600, 5)], 2
    )]
    #[case::common_prefix_of_names(&[("id=/a", 600, 5), ("id=/ab", 600, 5)], 2)]
    fn series_of_the_same_time_are_counted(#[case] of: &[(&str, i64, i64)], #[case] expected: u32) {
        let mut of: Vec<String> = of
            .iter()
            .map(|(labels, from, to)| series(labels, *from, *to))
            .collect();
        for _ in 0..of.len() {
            of.rotate_left(1);
            let examined = examine(&of);
            assert_eq!(examined.simultaneous["p"], expected, "{examined:?}");
            assert_eq!(examined.duplicates.len(), usize::from(expected > 1));
        }
    }

    #[test]
    fn differing_labels_have_their_values() {
        let examined = examine(&[
            series("job=kubelet metrics_path=/b node=n id=/1", 600, 5),
            series("job=kubelet metrics_path=/a node=n", 600, 5),
        ]);
        assert_eq!(
            differing(&examined),
            [("id", vec!["", "/1"]), ("metrics_path", vec!["/a", "/b"])]
        );
    }

    #[test]
    fn labels_of_a_dead_series_do_not_differ() {
        let examined = examine(&[
            series("job=x id=/old image=1", 600, 120),
            series("job=x id=/new image=2", 105, 0),
            series("job=y id=/new image=2", 105, 0),
        ]);
        assert_eq!(differing(&examined), [("job", vec!["x", "y"])]);
    }

    #[test]
    fn outermost_cgroups_are_those_of_pods_with_nested_ones() {
        let other = series("id=/b", 600, 5).replace(r#""pod":"p""#, r#""pod":"q""#);
        let examined = examine(&[
            series("id=/a", 600, 5),
            series("id=/a/container", 600, 5),
            other,
        ]);
        let outermost = BTreeSet::from(["/a".to_owned()]);
        assert_eq!(
            examined.outermost,
            BTreeMap::from([("p".to_owned(), outermost)])
        );
        assert_eq!(examined.simultaneous.len(), 2);
        assert!(examined.duplicates.is_empty());
    }

    #[test]
    fn pods_without_samples_are_unknown() {
        let none = series("", 600, 5).replace(r#""values""#, r#""histograms""#);
        assert_eq!(examine(&[none]), ExaminedSeries::default());
        assert_eq!(examine(&[]), ExaminedSeries::default());
    }
}
