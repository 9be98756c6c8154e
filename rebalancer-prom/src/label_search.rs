//! The search for a workload's pods under other labels, if the metrics seem to have no loads.
//!
//! The result is advice for the operator. It is never used silently: a label that happens to have
//! the right values may be that of another cluster.

use std::collections::BTreeSet;

use crate::envelope::{Labels, Sample};
use crate::labels::{CONTAINERS, LabelNames, NAMESPACES, PODS};
use crate::query::CpuSeries;

/// The number of containers that the advice lists.
const LISTED: usize = 5;

/// The labels under which the metrics have the namespace and the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) namespace: &'static str,
    /// `None` if the namespace has other containers only.
    pub(crate) container: Option<&'static str>,
}

/// Finds the labels in the response to [`CpuSeries::containers_by_label`].
pub(crate) fn find(samples: &[Sample<'_>], cpu: &CpuSeries<'_>) -> Option<Found> {
    let found = samples.iter().filter_map(|sample| {
        Some(Found {
            namespace: label_with(&sample.labels, &NAMESPACES, cpu.namespace)?,
            container: label_with(&sample.labels, &CONTAINERS, cpu.container),
        })
    });
    found.max_by_key(|found| found.container.is_some())
}

fn label_with(labels: &Labels<'_>, names: &[&'static str], value: &str) -> Option<&'static str> {
    let mut names = names.iter().copied();
    names.find(|name| labels.get(name) == Some(value))
}

/// The advice if the namespace has only other containers.
pub(crate) fn other_containers(
    samples: &[Sample<'_>],
    cpu: &CpuSeries<'_>,
    namespace_label: &str,
) -> Option<String> {
    let in_namespace = samples
        .iter()
        .filter(|sample| sample.labels.get(namespace_label) == Some(cpu.namespace));
    let containers: BTreeSet<&str> = in_namespace
        .filter_map(|sample| CONTAINERS.iter().find_map(|name| sample.labels.get(name)))
        .filter(|name| *name != "POD")
        .collect();
    if containers.is_empty() {
        return None;
    }
    let mut listed: Vec<&str> = containers.iter().copied().take(LISTED).collect();
    if containers.len() > LISTED {
        listed.push("…");
    }
    Some(format!(
        "the metrics of the namespace {} have no container {}, but {}: set CONTAINER_NAME",
        cpu.namespace,
        cpu.container,
        listed.join(", ")
    ))
}

/// The advice for the labels that were found, from the response to [`CpuSeries::pods_by_label`];
/// `None` if the settings already have these labels. Names of the workload's pods begin with its
/// name.
pub(crate) fn other_labels(
    samples: &[Sample<'_>],
    workload: &str,
    labels: &LabelNames,
    namespace: &str,
    container: &str,
) -> Option<String> {
    let prefix = format!("{workload}-");
    let has_pods = |name: &str| {
        let mut pods = samples.iter().filter_map(|sample| sample.labels.get(name));
        pods.any(|pod| pod.starts_with(&prefix))
    };
    let configured = labels.pod.as_str();
    let pod = std::iter::once(configured)
        .chain(PODS)
        .find(|name| has_pods(name))?;
    let settings = [
        (
            "PROMETHEUS_NAMESPACE_LABEL",
            labels.namespace.as_str(),
            namespace,
        ),
        ("PROMETHEUS_POD_LABEL", configured, pod),
        (
            "PROMETHEUS_CONTAINER_LABEL",
            labels.container.as_str(),
            container,
        ),
    ];
    let changed: Vec<String> = settings
        .iter()
        .filter(|(_, configured, found)| configured != found)
        .map(|(setting, _, found)| format!("{setting}={found}"))
        .collect();
    (!changed.is_empty()).then(|| {
        format!(
            "the metrics have the pods under other labels: set {}",
            changed.join(" ")
        )
    })
}
