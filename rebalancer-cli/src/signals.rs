//! Signals and `RUN_TIMEOUT`, which end a run between two actions.

use std::sync::Arc;
use std::time::Duration;

use rebalancer_core::execution::StopCause;
use rebalancer_driver::Stop;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

use crate::observers::terminal_line::TerminalLine;

/// Starts to listen for SIGTERM and SIGINT, within the async runtime. A second signal ends the
/// process at once.
pub(crate) fn listen(
    run_timeout: Option<Duration>,
    line: Arc<TerminalLine>,
) -> std::io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (handle, stop) = Stop::channel();
    if let Some(timeout) = run_timeout {
        let handle = handle.clone();
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            warn!("RUN_TIMEOUT: no further action is started");
            handle.stop(StopCause::RunTimeout);
        });
    }
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
