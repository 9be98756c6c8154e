//! The target: the load per pod that the autoscaler aims at, in cores.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use crate::model::{Autoscaler, Cores, CpuMetric, Pod};
use crate::statistics::mean;

/// A target, and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResolvedTarget {
    /// The load per pod aimed at, in cores.
    pub cores: Cores,
    /// Where it comes from.
    pub origin: TargetOrigin,
}

/// Where a target comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum TargetOrigin {
    /// The operator set it.
    Fixed,
    /// An autoscaler's CPU metric.
    Autoscaler {
        /// The autoscaler's name.
        name: String,
        /// Its metric.
        metric: CpuMetric,
        /// Mean CPU request of the measured container over the eligible pods, in cores, where
        /// the metric is relative to it.
        mean_request: Option<f64>,
        /// Mean CPU request of the pods' other containers, in cores, where there is any: a
        /// `Resource` metric averages over them as well, the target in cores leaves them out.
        other_requests: Option<f64>,
    },
}

impl fmt::Display for TargetOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.write_str("set by the operator"),
            Self::Autoscaler {
                name,
                metric,
                mean_request,
                other_requests,
            } => {
                write!(f, "HorizontalPodAutoscaler {name}: {metric}")?;
                if let Some(request) = mean_request {
                    write!(f, ", mean request {request:.3} cores")?;
                }
                if let Some(others) = other_requests {
                    write!(
                        f,
                        "; other containers of the pods request {others:.3} cores more, which \
                         the autoscaler averages over as well"
                    )?;
                }
                Ok(())
            }
        }
    }
}

/// Why there is no target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum TargetProblem {
    /// No autoscaler was found.
    #[error(
        "no HorizontalPodAutoscaler scales the workload: create one, set HPA_PREFIX to find it \
         by name, or set TARGET_CORES"
    )]
    NoAutoscaler,
    /// Autoscalers were found, but none has a CPU metric that is about the measured container.
    #[error(
        "no autoscaler has a CPU metric for container {container}; found {}: set TARGET_CORES",
        found.join("; ")
    )]
    NoCpuMetric {
        /// The measured container.
        container: String,
        /// What was found, an entry an autoscaler.
        found: Vec<String>,
    },
    /// Several CPU metrics that lead to different targets.
    #[error(
        "several CPU targets that disagree: {}: leave one, or set TARGET_CORES",
        found.join("; ")
    )]
    Disagree {
        /// What was found, an entry a metric.
        found: Vec<String>,
    },
    /// A percentage of a request that a pod does not make.
    #[error(
        "the target is a share of the CPU request, but container {container} of pod {pod} (and \
         {others} more) requests no CPU: give it a request, or set TARGET_CORES"
    )]
    NoRequest {
        /// The measured container.
        container: String,
        /// One of the pods.
        pod: String,
        /// How many more there are.
        others: usize,
    },
    /// A share of no request at all: there is no eligible pod to average over.
    #[error("the target is a share of the CPU request of the eligible pods, and there is none")]
    NoEligiblePods,
    /// A target of nothing, or of more than can be counted.
    #[error("{found} gives no positive target: correct it, or set TARGET_CORES")]
    NotPositive {
        /// The metric.
        found: String,
    },
}

/// The target of a snapshot, given the pods that are eligible (section "Target" of the design:
/// a share `u` of the mean CPU request of the measured container over the eligible pods, or
/// the autoscaler's plain value).
pub(crate) fn resolve(
    snapshot: &Snapshot,
    eligible: &[&Pod],
) -> Result<ResolvedTarget, TargetProblem> {
    if let Some(cores) = snapshot.data().target {
        return Ok(ResolvedTarget {
            cores,
            origin: TargetOrigin::Fixed,
        });
    }
    let autoscalers = &snapshot.data().autoscalers;
    if autoscalers.is_empty() {
        return Err(TargetProblem::NoAutoscaler);
    }
    let container = snapshot.container();
    let mut found: Option<ResolvedTarget> = None;
    let mut disagreeing = false;
    for (autoscaler, metric) in candidates(autoscalers, container) {
        let target = from_metric(autoscaler, metric, container, eligible)?;
        disagreeing |= found
            .as_ref()
            .is_some_and(|found| found.cores != target.cores);
        found.get_or_insert(target);
    }
    if disagreeing {
        return Err(TargetProblem::Disagree {
            found: candidates(autoscalers, container)
                .map(|(autoscaler, metric)| format!("{}: {metric}", autoscaler.name))
                .collect(),
        });
    }
    found.ok_or_else(|| TargetProblem::NoCpuMetric {
        container: container.into(),
        found: autoscalers.iter().map(describe).collect(),
    })
}

/// The CPU metrics that speak of the measured container.
fn candidates<'a>(
    autoscalers: &'a [Autoscaler],
    container: &'a str,
) -> impl Iterator<Item = (&'a Autoscaler, &'a CpuMetric)> {
    autoscalers
        .iter()
        .flat_map(|autoscaler| {
            autoscaler
                .cpu
                .iter()
                .map(move |metric| (autoscaler, metric))
        })
        .filter(move |(_, metric)| match metric {
            CpuMetric::Utilization { .. } | CpuMetric::AverageValue { .. } => true,
            CpuMetric::ContainerUtilization { container: of, .. }
            | CpuMetric::ContainerAverageValue { container: of, .. } => of == container,
        })
}

/// An autoscaler and its metrics in words.
fn describe(autoscaler: &Autoscaler) -> String {
    let metrics: Vec<String> = autoscaler
        .cpu
        .iter()
        .map(ToString::to_string)
        .chain(autoscaler.other_metrics.iter().cloned())
        .collect();
    if metrics.is_empty() {
        format!("{} (no metric)", autoscaler.name)
    } else {
        format!("{} ({})", autoscaler.name, metrics.join(", "))
    }
}

fn from_metric(
    autoscaler: &Autoscaler,
    metric: &CpuMetric,
    container: &str,
    eligible: &[&Pod],
) -> Result<ResolvedTarget, TargetProblem> {
    let (cores, mean_request, other_requests) = match metric {
        CpuMetric::AverageValue { cores } | CpuMetric::ContainerAverageValue { cores, .. } => {
            (cores.get(), None, None)
        }
        CpuMetric::Utilization { percent } => {
            let request = mean_request(container, eligible)?;
            let others = mean(eligible.iter().map(|pod| pod.other_requests.get()));
            (
                f64::from(*percent) / 100.0 * request,
                Some(request),
                (others > 0.0).then_some(others),
            )
        }
        CpuMetric::ContainerUtilization { percent, .. } => {
            let request = mean_request(container, eligible)?;
            (f64::from(*percent) / 100.0 * request, Some(request), None)
        }
    };
    let cores = Cores::new(cores).map_err(|_| TargetProblem::NotPositive {
        found: format!("{}: {metric}", autoscaler.name),
    })?;
    Ok(ResolvedTarget {
        cores,
        origin: TargetOrigin::Autoscaler {
            name: autoscaler.name.clone(),
            metric: metric.clone(),
            mean_request,
            other_requests,
        },
    })
}

fn mean_request(container: &str, eligible: &[&Pod]) -> Result<f64, TargetProblem> {
    if eligible.is_empty() {
        return Err(TargetProblem::NoEligiblePods);
    }
    let mut without = eligible.iter().filter(|pod| pod.request.is_none());
    if let Some(pod) = without.next() {
        return Err(TargetProblem::NoRequest {
            container: container.into(),
            pod: pod.name.clone(),
            others: without.count(),
        });
    }
    Ok(mean(
        eligible
            .iter()
            .filter_map(|pod| pod.request.map(Cores::get)),
    ))
}
