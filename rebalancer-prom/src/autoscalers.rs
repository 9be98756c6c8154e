//! Autoscalers as kube-state-metrics reports them, each with the object that it scales.
//!
//! Limits of kube-state-metrics:
//! - Before version 2.19 a `ContainerResource` metric looks like a `Resource` metric; before 2.7 it
//!   is not reported.
//! - Before version 2.4.2 an average value that is not a whole number of cores is missing.
//! - An `External` metric with the name `cpu` looks like the CPU resource.
//! - Old versions have no `kube_horizontalpodautoscaler_info`, so the scale target is unknown.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::model::{Autoscaler, Cores, CpuMetric};
use rebalancer_core::ports::{AutoscalerCandidate, ScaleTarget};
use tracing::debug;

use crate::envelope::{Labels, Sample};
use crate::query::AUTOSCALER_METRIC;

/// The series of one autoscaler.
#[derive(Debug, Default)]
struct Series {
    scale_targets: Vec<ScaleTarget>,
    metrics: Vec<MetricSeries>,
    current: Option<u32>,
    desired: Option<u32>,
    /// The `container` labels of series that have no container. The scrape adds this label.
    scraped_containers: BTreeSet<String>,
}

/// One series of `kube_horizontalpodautoscaler_spec_target_metric`.
#[derive(Debug)]
struct MetricSeries {
    name: String,
    target_type: String,
    container: Option<ContainerLabel>,
    value: f64,
}

/// The `container` label of a series.
#[derive(Debug)]
enum ContainerLabel {
    /// The container of the metric (`exported_container`).
    Metric(String),
    /// The container of the metric, or that of kube-state-metrics itself.
    MetricOrScrape(String),
}

/// Returns every autoscaler of the namespace, sorted by name.
pub(crate) fn candidates(samples: &[Sample<'_>], namespace: &str) -> Vec<AutoscalerCandidate> {
    let all = by_name(samples, namespace);
    debug!(names = ?all.keys().collect::<Vec<_>>(), "autoscalers in the metrics");
    let candidates = all.into_iter();
    candidates
        .map(|(name, series)| series.into_candidate(name))
        .collect()
}

fn by_name(samples: &[Sample<'_>], namespace: &str) -> BTreeMap<String, Series> {
    let mut all: BTreeMap<String, Series> = BTreeMap::new();
    for sample in samples {
        let labels = &sample.labels;
        // Without `honor_labels` the label `namespace` is the namespace of kube-state-metrics. The
        // namespace of the autoscaler is then in `exported_namespace`.
        if labels
            .get("exported_namespace")
            .is_some_and(|exported| exported != namespace)
        {
            continue;
        }
        let (Some(metric), Some(name), Some(value)) = (
            labels.get(AUTOSCALER_METRIC),
            labels.get("horizontalpodautoscaler"),
            sample.value,
        ) else {
            continue;
        };
        let series = all.entry(name.to_owned()).or_default();
        match metric {
            "spec_target_metric" => {
                let metric = MetricSeries::from_sample(labels, value.number);
                series.metrics.extend(metric);
                continue;
            }
            "info" => series.scale_targets.extend(scale_target(labels)),
            // Two instances of kube-state-metrics can report different moments of a scaling
            // operation. The minimum and the maximum then differ, which means "scaling".
            "status_current_replicas" => {
                series.current = merge(series.current, whole(value.number), u32::min);
            }
            "status_desired_replicas" => {
                series.desired = merge(series.desired, whole(value.number), u32::max);
            }
            _ => continue,
        }
        let container = labels.get("container").map(ToOwned::to_owned);
        series.scraped_containers.extend(container);
    }
    all
}

fn scale_target(labels: &Labels<'_>) -> Option<ScaleTarget> {
    Some(ScaleTarget::new(
        labels.get("scaletargetref_kind")?,
        labels.get("scaletargetref_name")?,
        labels.get("scaletargetref_api_version"),
    ))
}

fn merge(known: Option<u32>, new: Option<u32>, choose: fn(u32, u32) -> u32) -> Option<u32> {
    match (known, new) {
        (Some(known), Some(new)) => Some(choose(known, new)),
        (known, new) => known.or(new),
    }
}

/// The value as an integer, if it is one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
fn whole(value: f64) -> Option<u32> {
    ((0.0..=f64::from(u32::MAX)).contains(&value) && value.fract() == 0.0).then_some(value as u32)
}

impl MetricSeries {
    fn from_sample(labels: &Labels<'_>, value: f64) -> Option<Self> {
        let own = labels.get("exported_container");
        let container = match (own, labels.get("container")) {
            (Some(own), _) => Some(ContainerLabel::Metric(own.to_owned())),
            (None, Some(label)) => Some(ContainerLabel::MetricOrScrape(label.to_owned())),
            (None, None) => None,
        };
        Some(Self {
            name: labels.get("metric_name")?.to_owned(),
            target_type: labels.get("metric_target_type")?.to_owned(),
            container,
            value,
        })
    }

    /// Returns the CPU metric, or the description of another metric.
    fn into_metric(self, scraped_containers: &BTreeSet<String>) -> Result<CpuMetric, String> {
        let Self {
            name,
            target_type,
            container,
            value,
        } = self;
        let container = match container {
            Some(ContainerLabel::Metric(container)) => Some(container),
            Some(ContainerLabel::MetricOrScrape(label)) => {
                Some(label).filter(|label| !scraped_containers.contains(label))
            }
            None => None,
        };
        let cpu = match (name.as_str(), target_type.as_str()) {
            ("cpu", "utilization") => {
                let percent = whole(value).filter(|percent| *percent > 0);
                percent.map(|percent| match container.clone() {
                    Some(container) => CpuMetric::ContainerUtilization { container, percent },
                    None => CpuMetric::Utilization { percent },
                })
            }
            ("cpu", "average") => Cores::new(value).ok().map(|cores| match container.clone() {
                Some(container) => CpuMetric::ContainerAverageValue { container, cores },
                None => CpuMetric::AverageValue { cores },
            }),
            _ => None,
        };
        cpu.ok_or_else(|| match container {
            Some(container) => format!("{name} of container {container} ({target_type} {value})"),
            None => format!("{name} ({target_type} {value})"),
        })
    }
}

impl Series {
    fn into_candidate(self, name: String) -> AutoscalerCandidate {
        // Keyed by description: the order is the same in each run, and equal metrics of two
        // instances of kube-state-metrics are merged.
        let mut cpu = BTreeMap::new();
        let mut other_metrics = BTreeSet::new();
        for metric in self.metrics {
            match metric.into_metric(&self.scraped_containers) {
                Ok(metric) => {
                    cpu.insert(metric.to_string(), metric);
                }
                Err(description) => {
                    other_metrics.insert(description);
                }
            }
        }
        AutoscalerCandidate {
            autoscaler: Autoscaler {
                name,
                cpu: cpu.into_values().collect(),
                other_metrics: other_metrics.into_iter().collect(),
                current_replicas: self.current,
                desired_replicas: self.desired,
            },
            scale_targets: self.scale_targets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Reads series in the text format of kube-state-metrics, without the common prefix of their
    /// names.
    fn read(lines: &[&str]) -> Vec<AutoscalerCandidate> {
        let json: Vec<String> = lines
            .iter()
            .map(|line| {
                let (name, rest) = line.split_once('{').unwrap();
                let (labels, value) = rest.split_once("} ").unwrap();
                let labels: String = labels
                    .split(',')
                    .map(|pair| pair.split_once('=').unwrap())
                    .map(|(name, value)| format!(",{name:?}:{value:?}"))
                    .collect();
                format!(
                    r#"{{"metric":{{"rebalancer_metric":"{name}"{labels}}},"value":[1,"{value}"]}}"#
                )
            })
            .collect();
        let json = format!("[{}]", json.join(","));
        let samples: Vec<Sample<'_>> = serde_json::from_str(&json).unwrap();
        candidates(&samples, "ns")
    }

    fn target(name: &str, api_version: Option<&str>) -> ScaleTarget {
        ScaleTarget::new("Deployment", name, api_version)
    }

    const INFO: &str = "info{namespace=ns,horizontalpodautoscaler=h,scaletargetref_api_version=apps/v1,scaletargetref_kind=Deployment,scaletargetref_name=w} 1";

    #[test]
    fn candidates_are_sorted_and_have_all_series() {
        let found = read(&[
            "info{namespace=ns,horizontalpodautoscaler=w,scaletargetref_kind=StatefulSet,scaletargetref_name=w} 1",
            INFO,
            "spec_target_metric{horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 70",
            "spec_target_metric{horizontalpodautoscaler=h,metric_name=memory,metric_target_type=utilization} 80",
            "spec_target_metric{horizontalpodautoscaler=w,metric_name=cpu,metric_target_type=utilization} 10",
            "status_current_replicas{horizontalpodautoscaler=h} 3",
            "status_desired_replicas{horizontalpodautoscaler=h} 4",
        ]);
        assert_eq!(
            found,
            [
                AutoscalerCandidate {
                    autoscaler: Autoscaler {
                        name: "h".into(),
                        cpu: vec![CpuMetric::Utilization { percent: 70 }],
                        other_metrics: vec!["memory (utilization 80)".into()],
                        current_replicas: Some(3),
                        desired_replicas: Some(4),
                    },
                    scale_targets: vec![target("w", Some("apps/v1"))],
                },
                AutoscalerCandidate {
                    autoscaler: Autoscaler {
                        name: "w".into(),
                        cpu: vec![CpuMetric::Utilization { percent: 10 }],
                        other_metrics: Vec::new(),
                        current_replicas: None,
                        desired_replicas: None,
                    },
                    scale_targets: vec![ScaleTarget::new("StatefulSet", "w", None)],
                },
            ]
        );
    }

    #[rstest]
    #[case("utilization", "250", "", Ok(CpuMetric::Utilization { percent: 250 }))]
    #[case("average", "0.7", "", Ok(CpuMetric::AverageValue { cores: Cores::new(0.7).unwrap() }))]
    #[case("utilization", "70", "app", Ok(CpuMetric::ContainerUtilization { container: "app".into(), percent: 70 }))]
    #[case("average", "2", "app", Ok(CpuMetric::ContainerAverageValue { container: "app".into(), cores: Cores::new(2.0).unwrap() }))]
    #[case("value", "5", "", Err("cpu (value 5)"))]
    #[case("utilization", "NaN", "", Err("cpu (utilization NaN)"))]
    #[case("utilization", "0", "", Err("cpu (utilization 0)"))]
    #[case("utilization", "1.5", "", Err("cpu (utilization 1.5)"))]
    #[case("average", "0", "app", Err("cpu of container app (average 0)"))]
    fn cpu_metric_has_four_forms(
        #[case] target_type: &str,
        #[case] value: &str,
        #[case] container: &str,
        #[case] expected: Result<CpuMetric, &str>,
    ) {
        let metric = format!(
            "spec_target_metric{{horizontalpodautoscaler=h,metric_name=cpu,metric_target_type={target_type},container={container}}} {value}"
        );
        let found = read(&[INFO, &metric]);
        assert_eq!(found.len(), 1);
        let autoscaler = &found[0].autoscaler;
        match expected {
            Ok(metric) => assert_eq!(autoscaler.cpu, [metric]),
            Err(description) => assert_eq!(autoscaler.other_metrics, [description]),
        }
    }

    #[test]
    fn container_label_of_the_scrape_is_ignored() {
        let found = read(&[
            "info{container=ksm,horizontalpodautoscaler=h,scaletargetref_kind=Deployment,scaletargetref_name=w} 1",
            "spec_target_metric{container=ksm,horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 70",
            "spec_target_metric{container=ksm,exported_container=app,horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 60",
        ]);
        let container = "app".into();
        assert_eq!(
            found[0].autoscaler.cpu,
            [
                CpuMetric::ContainerUtilization {
                    container,
                    percent: 60
                },
                CpuMetric::Utilization { percent: 70 },
            ]
        );
    }

    #[test]
    fn two_instances_of_kube_state_metrics_are_merged() {
        let found = read(&[
            INFO,
            INFO,
            "spec_target_metric{instance=1,horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 70",
            "spec_target_metric{instance=2,horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 70",
            "status_current_replicas{instance=1,horizontalpodautoscaler=h} 3",
            "status_current_replicas{instance=2,horizontalpodautoscaler=h} 4",
            "status_desired_replicas{instance=1,horizontalpodautoscaler=h} 3",
            "status_desired_replicas{instance=2,horizontalpodautoscaler=h} 4",
        ]);
        assert_eq!(found.len(), 1);
        let autoscaler = &found[0].autoscaler;
        assert_eq!(autoscaler.cpu.len(), 1);
        assert_eq!(autoscaler.current_replicas, Some(3));
        assert_eq!(autoscaler.desired_replicas, Some(4));
    }

    #[rstest]
    #[case("apps/v1", Some("apps/v1"))]
    #[case("v1", Some("v1"))]
    // A label with an empty value is the same as no label.
    #[case("", None)]
    fn scale_target_has_the_group_of_its_api_version(
        #[case] label: &str,
        #[case] api_version: Option<&str>,
    ) {
        let found = read(&[&INFO.replace("apps/v1", label)]);
        assert_eq!(found[0].scale_targets, [target("w", api_version)]);
    }

    #[test]
    fn scale_target_is_unknown_without_the_info_metric() {
        let found = read(&[
            "spec_target_metric{horizontalpodautoscaler=w,metric_name=cpu,metric_target_type=utilization} 70",
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].scale_targets.is_empty());
        assert_eq!(found[0].autoscaler.current_replicas, None);
    }

    #[test]
    fn autoscaler_of_another_namespace_is_ignored() {
        let elsewhere = INFO.replace("namespace=ns", "namespace=ns,exported_namespace=other");
        assert!(read(&[&elsewhere]).is_empty());
    }
}
