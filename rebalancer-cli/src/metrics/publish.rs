//! Writes the metrics of a run to a file, and pushes them.

use std::io;
use std::path::Path;

use rebalancer_core::ports::PortError;
use rebalancer_prom::{MetricsPush, PushTarget, SendError};
use tracing::{debug, warn};

use super::exposition::{Exposition, Part};
use super::facts::WorkloadFacts;
use super::metric::WORKLOAD_LABELS;
use super::previous::Previous;
use super::served::ServedMetrics;
use crate::error::log_causes;
use crate::replace_file::replace_file;
use crate::settings::OwnMetricsSettings;

/// The job of the group with the metrics of the last run, in a Pushgateway.
const JOB: &str = "rebalancer";
/// The job of the group with the metrics whose values outlive a run that has none. A push replaces
/// all of the other group, so that no value of an earlier run is taken for one of the last.
const KEPT_JOB: &str = "rebalancer_kept";

/// Publishes the metrics of a run. A failure is a warning and never changes the result of the run.
#[derive(Debug)]
pub(crate) struct Publisher<'a> {
    settings: &'a OwnMetricsSettings,
    push: Option<MetricsPush>,
    /// The metrics that this process serves.
    served: Option<&'a ServedMetrics>,
}

impl<'a> Publisher<'a> {
    /// Checks the settings of the push. Sends nothing.
    pub(crate) fn new(
        settings: &'a OwnMetricsSettings,
        served: Option<&'a ServedMetrics>,
    ) -> Result<Self, PortError> {
        let push = settings.push.as_ref().map(MetricsPush::new).transpose()?;
        Ok(Self {
            settings,
            push,
            served,
        })
    }

    /// Whether the metrics are published anywhere.
    pub(crate) fn is_on(&self) -> bool {
        self.settings.file.is_some() || self.push.is_some() || self.served.is_some()
    }

    /// Publishes the metrics of the workloads of a run.
    pub(crate) async fn publish(&self, workloads: &[WorkloadFacts<'_>]) {
        if let Some(served) = self.served {
            served.run_ended(workloads);
        }
        if let Some(path) = &self.settings.file {
            write_file(path, workloads);
        }
        let (Some(push), Some(settings)) = (&self.push, &self.settings.push) else {
            return;
        };
        let pushed = tokio::time::timeout(settings.timeout, push_all(push, workloads)).await;
        match pushed {
            Ok(Ok(())) => debug!(url = push.destination(), "metrics pushed"),
            Ok(Err(error)) => {
                warn!("the metrics of this run were not pushed: {error}");
                log_causes(&error);
            }
            Err(_) => warn!(
                "the metrics of this run were not pushed to {} in full within {:?} \
                 (METRICS_PUSH_TIMEOUT)",
                push.destination(),
                settings.timeout
            ),
        }
    }
}

async fn push_all(push: &MetricsPush, workloads: &[WorkloadFacts<'_>]) -> Result<(), SendError> {
    let nothing = Previous::default();
    if push.target() == PushTarget::Import {
        let all = Exposition::new(workloads, Part::All, &nothing);
        return push.import(all.prometheus_text()).await;
    }
    for facts in workloads {
        let workload = facts.workload();
        let values = [&workload.namespace, &workload.kind, &workload.name];
        let labels: Vec<(&str, &str)> = WORKLOAD_LABELS
            .into_iter()
            .zip(values)
            .map(|(label, value)| (label, value.as_str()))
            .collect();
        let facts = [*facts];
        let last_run = Exposition::new(&facts, Part::LastRun, &nothing);
        push.replace_group(JOB, &labels, last_run.prometheus_text())
            .await?;
        let kept = Exposition::new(&facts, Part::Kept, &nothing);
        if !kept.is_empty() {
            push.update_group(KEPT_JOB, &labels, kept.prometheus_text())
                .await?;
        }
    }
    Ok(())
}

/// Replaces the file. Counters and kept values go on from its content.
fn write_file(path: &Path, workloads: &[WorkloadFacts<'_>]) {
    let previous = match std::fs::read(path) {
        Ok(content) => Previous::parse(&String::from_utf8_lossy(&content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Previous::default(),
        Err(error) => {
            warn!(
                "METRICS_FILE: cannot read {}, so counters begin again at 0: {error}",
                path.display()
            );
            Previous::default()
        }
    };
    let text = Exposition::new(workloads, Part::All, &previous).prometheus_text();
    match replace_file(path, &text) {
        Ok(()) => debug!(path = %path.display(), "metrics written"),
        Err(error) => warn!(
            "METRICS_FILE: the metrics of this run were not written to {}: {error}; the directory \
             must exist and be writable for the user of the process",
            path.display()
        ),
    }
}
