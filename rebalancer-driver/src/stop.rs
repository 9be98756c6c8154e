//! The request to stop a run between two actions.

use rebalancer_core::execution::StopCause;
use tokio::sync::watch;

/// The receiving end of a stop request; a run checks it between two actions.
#[derive(Debug, Clone)]
pub struct Stop {
    cause: watch::Receiver<Option<StopCause>>,
}

/// The sending end of a stop request. Dropping it withdraws nothing and requests nothing.
#[derive(Debug, Clone)]
pub struct StopHandle {
    cause: watch::Sender<Option<StopCause>>,
}

impl StopHandle {
    /// Requests the stop. The first cause wins.
    pub fn stop(&self, cause: StopCause) {
        self.cause.send_if_modified(|requested| {
            let first = requested.is_none();
            requested.get_or_insert(cause);
            first
        });
    }
}

impl Stop {
    /// Creates a stop request that has not been made yet, and the handle that makes it.
    #[must_use]
    pub fn channel() -> (StopHandle, Self) {
        let (sender, cause) = watch::channel(None);
        (StopHandle { cause: sender }, Self { cause })
    }

    /// A stop that is never requested.
    #[must_use]
    pub fn never() -> Self {
        Self::channel().1
    }

    /// Why the run was asked to stop; `None` until it is.
    #[must_use]
    pub fn requested(&self) -> Option<StopCause> {
        *self.cause.borrow()
    }

    /// Waits until the stop is requested; forever when the handle is gone.
    pub async fn wait(&self) -> StopCause {
        let mut cause = self.cause.clone();
        let requested = cause.wait_for(Option::is_some).await;
        let requested = requested.ok().and_then(|cause| *cause);
        match requested {
            Some(cause) => cause,
            None => std::future::pending().await,
        }
    }
}
