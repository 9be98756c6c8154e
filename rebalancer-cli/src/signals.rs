//! SIGTERM and SIGINT end a run between two actions.

use rebalancer_core::execution::StopCause;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::warn;

use crate::driver::Stop;

/// Starts listening; must be called within the async runtime. A second signal ends the process
/// at once.
pub(crate) fn listen() -> std::io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, stop) = watch::channel(None);
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                warn!("{name}: no further action is begun; once more ends at once");
                sender.send_replace(Some(StopCause::Signal));
            }
        }
        std::process::exit(130);
    });
    Ok(stop)
}
