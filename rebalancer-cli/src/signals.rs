//! Signals and `RUN_TIMEOUT`, which end a run between two actions.

use std::sync::Arc;
use std::time::Duration;

use rebalancer_core::execution::StopCause;
use rebalancer_driver::Stop;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tracing::{Instrument as _, warn};

use crate::observers::terminal_line::TerminalLine;

/// Starts to listen for SIGTERM and SIGINT, within the async runtime. A second signal ends the
/// process at once.
pub(crate) fn listen(line: Arc<TerminalLine>) -> std::io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (handle, stop) = Stop::channel();
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                warn!(
                    "{name}: no further action is started; a second signal ends the process at once"
                );
                handle.stop(StopCause::Signal);
            }
        }
        line.clear();
        std::process::exit(130);
    });
    Ok(stop)
}

/// The stop of one workload: a signal, or the timeout of its run, which begins now. The timeout
/// ends when the second value is dropped.
pub(crate) fn with_timeout(signal: &Stop, timeout: Option<Duration>) -> (Stop, Timer) {
    let Some(timeout) = timeout else {
        return (signal.clone(), Timer(None));
    };
    let (handle, stop) = Stop::channel();
    let signal = signal.clone();
    let timer = async move {
        let cause = tokio::select! {
            cause = signal.wait() => cause,
            () = tokio::time::sleep(timeout) => {
                warn!("RUN_TIMEOUT: no further action is started");
                StopCause::RunTimeout
            }
        };
        handle.stop(cause);
    };
    // The span names the workload.
    let timer = tokio::spawn(timer.in_current_span());
    (stop, Timer(Some(timer)))
}

/// The timer of a timeout.
#[derive(Debug)]
pub(crate) struct Timer(Option<JoinHandle<()>>);

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(timer) = &self.0 {
            timer.abort();
        }
    }
}
