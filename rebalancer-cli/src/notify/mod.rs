//! Notifications: a run is reported to a webhook, in the format of a chat service or as JSON.
//!
//! `event` decides whether the result for a workload is reported, `section` says it in words, and
//! `format` writes the document. A notification is sent after everything else of the run, and its
//! failure is a warning.

mod event;
mod format;
mod section;

use rebalancer_core::ports::PortError;
use rebalancer_core::report::Report;
use rebalancer_prom::Webhook;
use tracing::{debug, warn};

use crate::error::log_causes;
use crate::settings::{NotifyEvent, NotifyFormat, NotifySettings};
use section::Section;

/// The document for a report; `None` if nothing in it is to be reported.
#[must_use]
pub fn document(report: &Report, format: NotifyFormat, events: &[NotifyEvent]) -> Option<String> {
    let sections: Vec<Section<'_>> = report
        .workloads
        .iter()
        .filter_map(|workload| {
            let event = event::event_of(workload, events)?;
            Some(Section::new(workload, event))
        })
        .collect();
    (!sections.is_empty()).then(|| format::document(format, &sections))
}

/// Reports runs to the webhook of the settings.
#[derive(Debug)]
pub(crate) struct Notifier<'a> {
    settings: &'a NotifySettings,
    webhook: Webhook,
}

impl<'a> Notifier<'a> {
    /// Checks the settings. Sends nothing.
    pub(crate) fn new(settings: &'a NotifySettings) -> Result<Self, PortError> {
        let webhook = Webhook::new(&settings.webhook)?;
        Ok(Self { settings, webhook })
    }

    /// Reports a run. A failure is a warning and never changes the result of the run.
    pub(crate) async fn send(&self, report: &Report) {
        let Some(document) = document(report, self.settings.format, &self.settings.events) else {
            return;
        };
        let timeout = self.settings.webhook.timeout;
        match tokio::time::timeout(timeout, self.webhook.post(document)).await {
            Ok(Ok(())) => debug!("notification sent"),
            Ok(Err(error)) => {
                warn!("the notification of this run was not sent: {error}");
                log_causes(&error);
            }
            Err(_) => warn!(
                "the notification of this run was not sent within {timeout:?} (NOTIFY_TIMEOUT)"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
