//! The workload's autoscalers as kube-state-metrics reports them.
//!
//! What it cannot tell: before version 2.19 a `ContainerResource` metric looks like a `Resource`
//! metric, and before 2.7 it is not reported at all; before 2.4.2 an average value that is no
//! whole number of cores is missing. An `External` metric that is called `cpu` looks like the
//! resource. An old version without `kube_horizontalpodautoscaler_info` does not tell what an
//! autoscaler scales: then its name has to do.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::model::{Autoscaler, Cores, CpuMetric, WorkloadRef};
use tracing::{debug, warn};

use crate::envelope::{Labels, Sample};

/// What was collected about one autoscaler.
#[derive(Debug, Default)]
struct Found {
    /// Kind and name of the scale target, and its API version where it is given.
    refers_to: Vec<(String, String, Option<String>)>,
    targets: Vec<Target>,
    current: Option<u32>,
    desired: Option<u32>,
    /// The `container` labels of series that have none of their own: put there by the scrape.
    scraped_containers: BTreeSet<String>,
}

/// One series of `kube_horizontalpodautoscaler_spec_target_metric`.
#[derive(Debug)]
struct Target {
    metric: String,
    kind: String,
    /// The `container` label, and whether it is certainly the metric's own.
    container: Option<(String, bool)>,
    value: f64,
}

/// The autoscalers that scale the workload: those that refer to it. Where none does, the one with
/// the expected name, if a prefix says that it is the workload's whatever it refers to, or if the
/// metrics do not tell what it refers to.
pub(crate) fn of_workload(
    samples: &[Sample<'_>],
    workload: &WorkloadRef,
    hpa_prefix: &str,
) -> Vec<Autoscaler> {
    let mut all = collect(samples, &workload.namespace);
    debug!(names = ?all.keys().collect::<Vec<_>>(), "autoscalers in the metrics");
    let referring: Vec<String> = all
        .iter()
        .filter(|(_, found)| found.refers_to.iter().any(|to| is_workload(to, workload)))
        .map(|(name, _)| name.clone())
        .collect();
    if referring.is_empty() {
        let name = format!("{hpa_prefix}{}", workload.name);
        return all
            .remove(&name)
            .filter(|found| is_by_name(found, &name, hpa_prefix))
            .map(|found| found.into_autoscaler(name))
            .into_iter()
            .collect();
    }
    referring
        .into_iter()
        .filter_map(|name| all.remove(&name).map(|found| found.into_autoscaler(name)))
        .collect()
}

/// Whether an autoscaler of the expected name is the workload's, to which none refers.
fn is_by_name(found: &Found, name: &str, hpa_prefix: &str) -> bool {
    let Some((kind, target, _)) = found.refers_to.first() else {
        return true;
    };
    if hpa_prefix.is_empty() {
        return false;
    }
    warn!(
        "HorizontalPodAutoscaler {name} is taken for its name (HPA_PREFIX): it scales {kind} \
         {target}, and none scales the workload"
    );
    true
}

fn collect(samples: &[Sample<'_>], namespace: &str) -> BTreeMap<String, Found> {
    let mut all: BTreeMap<String, Found> = BTreeMap::new();
    for sample in samples {
        let labels = &sample.labels;
        // Without `honor_labels` the label `namespace` is the one kube-state-metrics runs in,
        // and the autoscaler's own was renamed.
        if labels
            .get("exported_namespace")
            .is_some_and(|exported| exported != namespace)
        {
            continue;
        }
        let (Some(series), Some(name), Some(value)) = (
            labels.get("__name__"),
            labels.get("horizontalpodautoscaler"),
            sample.value,
        ) else {
            continue;
        };
        let found = all.entry(name.to_owned()).or_default();
        match series.strip_prefix("kube_horizontalpodautoscaler_") {
            Some("spec_target_metric") => {
                found
                    .targets
                    .extend(Target::from_sample(labels, value.number));
                continue;
            }
            Some("info") => found.refers_to.extend(scale_target(labels)),
            // Two instances of kube-state-metrics may be a moment apart. Then the autoscaler is
            // at work, which is what different numbers of current and desired replicas say.
            Some("status_current_replicas") => {
                found.current = merge(found.current, replicas(value.number), u32::min);
            }
            Some("status_desired_replicas") => {
                found.desired = merge(found.desired, replicas(value.number), u32::max);
            }
            _ => continue,
        }
        found
            .scraped_containers
            .extend(labels.get("container").map(ToOwned::to_owned));
    }
    all
}

fn scale_target(labels: &Labels<'_>) -> Option<(String, String, Option<String>)> {
    Some((
        labels.get("scaletargetref_kind")?.to_owned(),
        labels.get("scaletargetref_name")?.to_owned(),
        labels
            .get("scaletargetref_api_version")
            .map(ToOwned::to_owned),
    ))
}

/// Whether a scale target is the workload, whose kind may be given as `Kind.version.group`. The
/// version does not matter: one object has several. Nor does a reference without any tell it from
/// the workload.
fn is_workload(
    (kind, name, api_version): &(String, String, Option<String>),
    workload: &WorkloadRef,
) -> bool {
    let mut parts = workload.kind.splitn(3, '.');
    let same_kind = parts.next() == Some(kind.as_str());
    let group = parts.nth(1).or(match workload.kind.as_str() {
        "Deployment" | "StatefulSet" => Some("apps"),
        _ => None,
    });
    let other_group = match (group, api_version) {
        (Some(group), Some(api_version)) => {
            api_version.split_once('/').map_or("", |(group, _)| group) != group
        }
        _ => false,
    };
    same_kind && *name == workload.name && !other_group
}

fn merge(known: Option<u32>, new: Option<u32>, choose: fn(u32, u32) -> u32) -> Option<u32> {
    match (known, new) {
        (Some(known), Some(new)) => Some(choose(known, new)),
        (known, new) => known.or(new),
    }
}

/// A count of replicas, if the number is one.
fn replicas(value: f64) -> Option<u32> {
    whole(value)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
fn whole(value: f64) -> Option<u32> {
    ((0.0..=f64::from(u32::MAX)).contains(&value) && value.fract() == 0.0).then_some(value as u32)
}

impl Target {
    fn from_sample(labels: &Labels<'_>, value: f64) -> Option<Self> {
        let container = match labels.get("exported_container") {
            Some(own) => Some((own.to_owned(), true)),
            None => labels
                .get("container")
                .map(|container| (container.to_owned(), false)),
        };
        Some(Self {
            metric: labels.get("metric_name")?.to_owned(),
            kind: labels.get("metric_target_type")?.to_owned(),
            container,
            value,
        })
    }

    /// The CPU metric that this is, or words for another one.
    fn metric(self, scraped_containers: &BTreeSet<String>) -> Result<CpuMetric, String> {
        let Self {
            metric,
            kind,
            container,
            value,
        } = self;
        let container = container
            .filter(|(name, own)| *own || !scraped_containers.contains(name))
            .map(|(name, _)| name);
        let cpu = match (metric.as_str(), kind.as_str()) {
            ("cpu", "utilization") => {
                whole(value)
                    .filter(|percent| *percent > 0)
                    .map(|percent| match container.clone() {
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
            Some(container) => format!("{metric} of container {container} ({kind} {value})"),
            None => format!("{metric} ({kind} {value})"),
        })
    }
}

impl Found {
    fn into_autoscaler(self, name: String) -> Autoscaler {
        // By their words, so that the order is the same in each run and equal ones of two
        // instances of kube-state-metrics fall into one.
        let mut cpu = BTreeMap::new();
        let mut other = BTreeSet::new();
        for target in self.targets {
            match target.metric(&self.scraped_containers) {
                Ok(metric) => {
                    cpu.insert(metric.to_string(), metric);
                }
                Err(words) => {
                    other.insert(words);
                }
            }
        }
        Autoscaler {
            name,
            cpu: cpu.into_values().collect(),
            other_metrics: other.into_iter().collect(),
            current_replicas: self.current,
            desired_replicas: self.desired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Series in the text format, as kube-state-metrics exposes them (labels and value), with
    /// the common beginning of their names left out.
    fn autoscalers(lines: &[&str], workload: &WorkloadRef, prefix: &str) -> Vec<Autoscaler> {
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
                    r#"{{"metric":{{"__name__":"kube_horizontalpodautoscaler_{name}"{labels}}},"value":[1,"{value}"]}}"#
                )
            })
            .collect();
        let json = format!("[{}]", json.join(","));
        let samples: Vec<Sample<'_>> = serde_json::from_str(&json).unwrap();
        of_workload(&samples, workload, prefix)
    }

    fn workload(kind: &str) -> WorkloadRef {
        WorkloadRef {
            namespace: "ns".into(),
            kind: kind.into(),
            name: "w".into(),
        }
    }

    const INFO: &str = "info{namespace=ns,horizontalpodautoscaler=h,scaletargetref_api_version=apps/v1,scaletargetref_kind=Deployment,scaletargetref_name=w} 1";

    #[test]
    fn the_one_that_refers_to_the_workload_is_read_whole() {
        let found = autoscalers(
            &[
                INFO,
                "info{namespace=ns,horizontalpodautoscaler=w,scaletargetref_kind=StatefulSet,scaletargetref_name=w} 1",
                "spec_target_metric{horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 70",
                "spec_target_metric{horizontalpodautoscaler=h,metric_name=memory,metric_target_type=utilization} 80",
                "spec_target_metric{horizontalpodautoscaler=w,metric_name=cpu,metric_target_type=utilization} 10",
                "status_current_replicas{horizontalpodautoscaler=h} 3",
                "status_desired_replicas{horizontalpodautoscaler=h} 4",
            ],
            &workload("Deployment"),
            "",
        );
        assert_eq!(
            found,
            [Autoscaler {
                name: "h".into(),
                cpu: vec![CpuMetric::Utilization { percent: 70 }],
                other_metrics: vec!["memory (utilization 80)".into()],
                current_replicas: Some(3),
                desired_replicas: Some(4),
            }]
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
    fn a_cpu_metric_has_four_forms(
        #[case] kind: &str,
        #[case] value: &str,
        #[case] container: &str,
        #[case] expected: Result<CpuMetric, &str>,
    ) {
        let target = format!(
            "spec_target_metric{{horizontalpodautoscaler=h,metric_name=cpu,metric_target_type={kind},container={container}}} {value}"
        );
        let found = autoscalers(&[INFO, &target], &workload("Deployment"), "");
        assert_eq!(found.len(), 1);
        match expected {
            Ok(metric) => assert_eq!(found[0].cpu, [metric]),
            Err(words) => assert_eq!(found[0].other_metrics, [words]),
        }
    }

    #[test]
    fn the_container_label_of_the_scrape_is_not_the_metrics() {
        let found = autoscalers(
            &[
                "info{container=ksm,horizontalpodautoscaler=h,scaletargetref_kind=Deployment,scaletargetref_name=w} 1",
                "spec_target_metric{container=ksm,horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 70",
                "spec_target_metric{container=ksm,exported_container=app,horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 60",
            ],
            &workload("Deployment"),
            "",
        );
        assert_eq!(
            found[0].cpu,
            [
                CpuMetric::ContainerUtilization {
                    container: "app".into(),
                    percent: 60
                },
                CpuMetric::Utilization { percent: 70 },
            ]
        );
    }

    #[test]
    fn two_instances_that_agree_are_one() {
        let found = autoscalers(
            &[
                INFO,
                INFO,
                "spec_target_metric{instance=1,horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 70",
                "spec_target_metric{instance=2,horizontalpodautoscaler=h,metric_name=cpu,metric_target_type=utilization} 70",
                "status_current_replicas{instance=1,horizontalpodautoscaler=h} 3",
                "status_current_replicas{instance=2,horizontalpodautoscaler=h} 4",
                "status_desired_replicas{instance=1,horizontalpodautoscaler=h} 3",
                "status_desired_replicas{instance=2,horizontalpodautoscaler=h} 4",
            ],
            &workload("Deployment"),
            "",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cpu.len(), 1);
        // A moment apart: the autoscaler is at work.
        assert_eq!(found[0].current_replicas, Some(3));
        assert_eq!(found[0].desired_replicas, Some(4));
    }

    #[test]
    fn two_autoscalers_of_the_workload_are_both_listed() {
        let found = autoscalers(
            &[INFO, &INFO.replace("=h,", "=g,")],
            &workload("Deployment"),
            "",
        );
        let names: Vec<_> = found.iter().map(|hpa| hpa.name.as_str()).collect();
        assert_eq!(names, ["g", "h"]);
    }

    #[rstest]
    #[case("Deployment", 1)]
    #[case("StatefulSet", 0)]
    #[case("Deployment.v1.apps", 1)]
    #[case("Deployment.v1beta1.apps", 1)]
    #[case("Deployment.v1.example.com", 0)]
    fn the_kind_may_carry_version_and_group(#[case] kind: &str, #[case] count: usize) {
        assert_eq!(autoscalers(&[INFO], &workload(kind), "").len(), count);
    }

    #[rstest]
    #[case("v1", 0)]
    #[case("extensions/v1beta1", 0)]
    #[case("apps/v1beta2", 1)]
    // A label without a value is no label.
    #[case("", 1)]
    fn a_reference_to_another_group_is_to_another_object(
        #[case] api_version: &str,
        #[case] count: usize,
    ) {
        let info = INFO.replace("apps/v1", api_version);
        let found = autoscalers(&[&info], &workload("Deployment"), "");
        assert_eq!(found.len(), count);
    }

    #[rstest]
    #[case("", &[])]
    #[case("keda-hpa-", &["keda-hpa-w"])]
    #[case("other-", &[])]
    fn one_that_refers_to_another_object_counts_only_by_a_prefix(
        #[case] prefix: &str,
        #[case] expected: &[&str],
    ) {
        let of_other = |name: &str| {
            let info = INFO.replace("=h,", &format!("={name},"));
            info.replace("scaletargetref_name=w", "scaletargetref_name=other")
        };
        let found = autoscalers(
            &[&of_other("w"), &of_other("keda-hpa-w")],
            &workload("Deployment"),
            prefix,
        );
        let names: Vec<_> = found.iter().map(|hpa| hpa.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn without_a_reference_the_name_counts_and_the_prefix_may_be_empty() {
        let target = "spec_target_metric{horizontalpodautoscaler=w,metric_name=cpu,metric_target_type=utilization} 70";
        let found = autoscalers(&[target], &workload("Deployment"), "");
        assert_eq!(found.len(), 1);
    }

    #[rstest]
    #[case("keda-hpa-", 1)]
    #[case("", 0)]
    fn without_a_reference_the_name_counts(#[case] prefix: &str, #[case] count: usize) {
        let found = autoscalers(
            &[
                "spec_target_metric{horizontalpodautoscaler=keda-hpa-w,metric_name=cpu,metric_target_type=utilization} 70",
            ],
            &workload("Deployment"),
            prefix,
        );
        assert_eq!(found.len(), count);
        assert!(found.iter().all(|hpa| hpa.current_replicas.is_none()));
    }

    #[test]
    fn another_namespaces_autoscaler_is_left_alone() {
        let elsewhere = INFO.replace("namespace=ns", "namespace=ns,exported_namespace=other");
        assert!(autoscalers(&[&elsewhere], &workload("Deployment"), "").is_empty());
    }
}
