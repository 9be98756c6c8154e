//! The target: the load per pod that the autoscaler aims at.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use crate::model::{Autoscaler, Cores, CpuMetric, PausedAutoscaler, Pod};
use crate::statistics::mean;

/// A target and its origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResolvedTarget {
    /// The load per pod that is aimed at, in cores or in the unit of a custom load query.
    pub cores: Cores,
    /// The origin of the target.
    pub origin: TargetOrigin,
}

/// The origin of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "from", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TargetOrigin {
    /// The operator set the target.
    Fixed,
    /// The CPU metric of an autoscaler.
    Autoscaler {
        /// The autoscaler's name.
        name: String,
        /// The metric.
        metric: CpuMetric,
        /// Mean CPU request of the measured container over the eligible pods, in cores, if the
        /// metric is relative to it: for a metric of whole pods with a request of their own
        /// (`spec.resources`), what the other containers leave of it.
        mean_request: Option<f64>,
        /// Mean CPU request of the pods' other containers, in cores, if there is any. A `Resource`
        /// metric averages over them as well; the target leaves them out.
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
                        "; the autoscaler also averages over the {others:.3} cores that other \
                         containers of the pods request"
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
#[non_exhaustive]
pub enum TargetProblem {
    /// No autoscaler was found.
    #[error(
        "no HorizontalPodAutoscaler scales the workload: create one, find it by a name prefix, or \
         set a fixed target"
    )]
    NoAutoscaler,
    /// The object that defines the autoscaler is paused, and the autoscaler does not exist
    /// meanwhile.
    #[error(
        "{object} is paused ({annotation}), and no HorizontalPodAutoscaler exists meanwhile: resume \
         it, or set a fixed target"
    )]
    AutoscalerPaused {
        /// The kind and the name of the object, such as `ScaledObject orders`.
        object: String,
        /// The annotation that pauses it, as `key: value`.
        annotation: String,
    },
    /// No autoscaler that was found has a CPU metric of the measured container.
    #[error(
        "no autoscaler has a CPU metric of container {container} (found: {}): set a fixed target",
        found.join("; ")
    )]
    NoCpuMetric {
        /// The measured container.
        container: String,
        /// The autoscalers that were found, each with its metrics.
        found: Vec<String>,
    },
    /// Several CPU metrics give different targets.
    #[error(
        "several CPU metrics give different targets ({}): remove all but one, or set a fixed target",
        found.join("; ")
    )]
    Disagree {
        /// The metrics that were found, each with its autoscaler.
        found: Vec<String>,
    },
    /// The target is a percentage of the CPU request, and a pod has none.
    #[error(
        "the target is a percentage of the CPU request, but container {container} of pod {pod} (and \
         of {others} more pods) has no CPU request: add one, or set a fixed target"
    )]
    NoRequest {
        /// The measured container.
        container: String,
        /// The first pod without a request.
        pod: String,
        /// Number of other pods without a request.
        others: usize,
    },
    /// The target is a percentage of the mean CPU request of the eligible pods, and there is none.
    #[error(
        "the target is a percentage of the CPU request of the eligible pods, and no pod is eligible"
    )]
    NoEligiblePods,
    /// The target is not positive, or is out of range.
    #[error("{found} does not give a positive target: correct it, or set a fixed target")]
    NotPositive {
        /// The metric.
        found: String,
    },
}

/// Resolves the target of a snapshot: the operator's, or a percentage of the mean CPU request of
/// the measured container over the `eligible` pods, or the value of the autoscaler's metric.
pub(crate) fn resolve<'a>(
    snapshot: &Snapshot,
    eligible: impl Iterator<Item = &'a Pod> + Clone,
) -> Result<ResolvedTarget, TargetProblem> {
    if let Some(cores) = snapshot.data().target {
        return Ok(ResolvedTarget {
            cores,
            origin: TargetOrigin::Fixed,
        });
    }
    let autoscalers = &snapshot.data().autoscalers;
    if autoscalers.is_empty() {
        return Err(match &snapshot.data().paused_autoscaler {
            None => TargetProblem::NoAutoscaler,
            Some(PausedAutoscaler { object, annotation }) => TargetProblem::AutoscalerPaused {
                object: object.clone(),
                annotation: annotation.clone(),
            },
        });
    }
    let container = snapshot.container();
    let mut found: Option<ResolvedTarget> = None;
    let mut disagreeing = false;
    for (autoscaler, metric) in candidates(autoscalers, container) {
        let target = from_metric(autoscaler, metric, container, eligible.clone())?;
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

/// The CPU metrics that include the measured container.
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

/// Lists the metrics of an autoscaler.
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

fn from_metric<'a>(
    autoscaler: &Autoscaler,
    metric: &CpuMetric,
    container: &str,
    eligible: impl Iterator<Item = &'a Pod> + Clone,
) -> Result<ResolvedTarget, TargetProblem> {
    let (cores, mean_request, other_requests) = match metric {
        CpuMetric::AverageValue { cores } | CpuMetric::ContainerAverageValue { cores, .. } => {
            (cores.get(), None, None)
        }
        CpuMetric::Utilization { percent } => {
            // Like the autoscaler, which prefers the request of the pod to those of its containers.
            let request = mean_request(container, eligible.clone(), Pod::share_of_pod_request)?;
            let others = mean(eligible.map(|pod| pod.other_requests.get()));
            (
                f64::from(*percent) / 100.0 * request,
                Some(request),
                (others > 0.0).then_some(others),
            )
        }
        CpuMetric::ContainerUtilization { percent, .. } => {
            let request = mean_request(container, eligible, |pod| pod.request)?;
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

fn mean_request<'a>(
    container: &str,
    eligible: impl Iterator<Item = &'a Pod> + Clone,
    request: fn(&Pod) -> Option<Cores>,
) -> Result<f64, TargetProblem> {
    if eligible.clone().next().is_none() {
        return Err(TargetProblem::NoEligiblePods);
    }
    let mut without = eligible.clone().filter(|pod| request(pod).is_none());
    if let Some(pod) = without.next() {
        return Err(TargetProblem::NoRequest {
            container: container.into(),
            pod: pod.name.clone(),
            others: without.count(),
        });
    }
    Ok(mean(
        eligible.filter_map(|pod| request(pod).map(Cores::get)),
    ))
}
