//! The replacements of evicted pods: whether they are ready, still starting, or will never start.
//!
//! The wait ends when the workload has as many ready pods as in the baseline. It also ends when
//! the specification of the workload changed, or when a replacement has a lasting failure. Pods of
//! the baseline that fail are not replacements and do not count.

use super::baseline::Baseline;
use crate::model::{PodFailure, WorkloadState};

/// The state of the replacements.
#[derive(Debug)]
pub(super) enum Replacements {
    /// All of them are ready.
    Ready,
    /// Some are still starting; the progress is a message.
    Starting(String),
    /// A replacement cannot start.
    Failed(String),
    /// The workload was changed, so the number of ready pods to expect is unknown.
    WorkloadChanged(String),
}

impl Replacements {
    pub(super) fn of(workload: &WorkloadState, baseline: &Baseline) -> Self {
        if let Some(change) = baseline.change_to(workload.rollout) {
            return Self::WorkloadChanged(change);
        }
        if workload.ready >= baseline.ready {
            return Self::Ready;
        }
        let failures = || {
            let failures = workload.failures.iter();
            failures.filter(|failure| !baseline.pods.contains(&failure.pod.uid))
        };
        if let Some(failure) = failures().find(|failure| failure.lasting) {
            return Self::Failed(format!("the replacement {}", describe(failure)));
        }
        let mut progress = format!("{} of {} pods are ready", workload.ready, baseline.ready);
        if let Some(failure) = failures().next() {
            progress.push_str(&format!("; {}", describe(failure)));
        }
        Self::Starting(progress)
    }
}

/// A message such as `consumer-1 does not start: CrashLoopBackOff (back-off 10s restarting …)`.
fn describe(failure: &PodFailure) -> String {
    let PodFailure {
        pod,
        reason,
        message,
        ..
    } = failure;
    let mut description = format!("{} does not start: {reason}", pod.name);
    if !message.is_empty() {
        description.push_str(&format!(" ({message})"));
    }
    description
}
