//! SIGTERM, SIGINT and `RUN_TIMEOUT` end a run between two actions.

use std::time::Duration;

use rebalancer_core::execution::StopCause;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::warn;

use crate::driver::Stop;
use crate::live;

/// Starts listening; must be called within the async runtime. A second signal ends the process
/// at once.
pub(crate) fn listen(run_timeout: Option<Duration>) -> std::io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, stop) = watch::channel(None);
    if let Some(timeout) = run_timeout {
        let sender = sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            warn!("RUN_TIMEOUT: no further action is begun");
            stop_once(&sender, StopCause::RunTimeout);
        });
    }
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                warn!("{name}: no further action is begun; once more ends at once");
                stop_once(&sender, StopCause::Signal);
            }
        }
        live::clear();
        std::process::exit(130);
    });
    Ok(stop)
}

/// The first cause stays.
fn stop_once(sender: &watch::Sender<Option<StopCause>>, cause: StopCause) {
    sender.send_if_modified(|stop| {
        let first = stop.is_none();
        stop.get_or_insert(cause);
        first
    });
}
