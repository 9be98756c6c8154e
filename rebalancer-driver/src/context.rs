//! The context of a run: ports, settings and the stop request, which all steps share.

use std::time::Duration;

use rebalancer_core::ports::{PortError, PortErrorKind};

use crate::event::{RunEvent, Wait, WaitReason};
use crate::ports::{Ports, RunSettings};
use crate::stop::Stop;

/// The time that a request may still take after the run was asked to stop. The report must be
/// written before the process is killed.
const GRACE_AFTER_STOP: Duration = Duration::from_secs(5);

/// The error of a request that was cut short by a stop.
pub(crate) const CUT_SHORT: &str = "the run was asked to stop before there was an answer";

/// The ports, settings and stop request of a run.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) ports: Ports<'a>,
    pub(crate) settings: &'a RunSettings<'a>,
    pub(crate) stop: &'a Stop,
}

impl Run<'_> {
    pub(crate) fn emit(self, event: &RunEvent<'_>) {
        self.ports.observer.event(event);
    }

    /// The time on the monotonic clock.
    pub(crate) fn elapsed(self) -> Duration {
        self.ports.clock.elapsed()
    }

    /// Awaits `future` and reports the wait until it is ready.
    pub(crate) async fn during<T>(self, reason: WaitReason, future: impl Future<Output = T>) -> T {
        self.emit(&RunEvent::Waiting(&Wait::new(reason)));
        let output = future.await;
        self.emit(&RunEvent::WaitEnded);
        output
    }

    /// Awaits `request`; `None` when the run was asked to stop and the grace time has passed
    /// since.
    pub(crate) async fn before_stop<T>(self, request: impl Future<Output = T>) -> Option<T> {
        let cut_short = async {
            self.stop.wait().await;
            self.ports.clock.sleep(GRACE_AFTER_STOP).await;
        };
        tokio::select! {
            biased;
            output = request => Some(output),
            () = cut_short => None,
        }
    }

    /// Awaits a request to the journal.
    pub(crate) async fn write<T>(
        self,
        writing: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let written = self.before_stop(writing).await;
        written.unwrap_or_else(|| Err(PortError::new(PortErrorKind::Timeout, CUT_SHORT)))
    }

    /// Awaits a request that changes nothing. The error is the message of the port.
    pub(crate) async fn ask<T>(
        self,
        request: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, String> {
        match self.before_stop(request).await {
            Some(answer) => answer.map_err(|error| {
                self.emit(&RunEvent::PortFailed { error: &error });
                error.to_string()
            }),
            None => Err(CUT_SHORT.into()),
        }
    }

    /// Why the operator does not allow an action to begin now: a freeze window, or an annotation,
    /// which is read again. The error says why the annotation is not known.
    pub(crate) async fn order_not_to_act(self) -> Result<Option<String>, String> {
        if let Some(window) = self.settings.freeze.window_at(self.ports.clock.now()) {
            return Ok(Some(format!("the freeze window `{window}` has begun")));
        }
        match self.ask(self.ports.actuator.pause()).await {
            Ok(pause) => Ok(pause.map(|pause| pause.to_string())),
            Err(why) => Err(format!(
                "the annotations of the workload could not be read: {why}"
            )),
        }
    }
}
