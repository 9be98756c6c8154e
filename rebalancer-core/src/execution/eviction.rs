//! One eviction: the condition of the pod right before it, and the meaning of the answer.
//!
//! An eviction is repeated only if the server confirmed that the request had no effect: a budget
//! blocked it, or the server was too busy. After a lost response the pod is read instead, and its
//! eviction is never requested again: the first request may still take effect.

use std::time::Duration;

use super::outcome::PodOutcome;
use crate::ports::{EvictionAnswer, PodState};

/// A final outcome of a victim, with details.
pub(super) type Settled = (PodOutcome, Option<String>);

/// Checks the pod right before its eviction.
///
/// # Errors
/// The outcome of a pod that must not be evicted.
pub(super) fn check_pod(read: Result<PodState, String>) -> Result<(), Settled> {
    match read {
        Ok(PodState::Present { ready: true }) => Ok(()),
        Ok(PodState::Present { ready: false }) => Err((
            PodOutcome::Failed,
            Some("the pod is no longer ready, so evicting it would move no load".into()),
        )),
        Ok(PodState::OptedOut) => Err((
            PodOutcome::Failed,
            Some("an annotation of the pod now opts out of eviction".into()),
        )),
        Ok(PodState::Terminating | PodState::Gone) => Err((PodOutcome::AlreadyGone, None)),
        Err(why) => Err((PodOutcome::Failed, Some(why))),
    }
}

/// The meaning of an answer for the rest of the execution.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The outcome is final.
    Settled(Settled),
    /// The request had no effect and may be repeated; the outcome holds unless it is.
    Retry {
        outcome: PodOutcome,
        message: String,
        budget: Option<String>,
        retry_after: Option<Duration>,
    },
    /// No eviction is permitted.
    Forbidden(String),
    /// The response was lost.
    Lost(String),
}

impl Verdict {
    pub(super) fn of(answer: EvictionAnswer) -> Self {
        match answer {
            EvictionAnswer::Evicted => Self::Settled((PodOutcome::Evicted, None)),
            EvictionAnswer::AlreadyGone => Self::Settled((PodOutcome::AlreadyGone, None)),
            EvictionAnswer::Failed { message } => {
                Self::Settled((PodOutcome::Failed, Some(message)))
            }
            EvictionAnswer::Blocked {
                message,
                budget,
                retry_after,
            } => Self::Retry {
                outcome: PodOutcome::Blocked,
                message,
                budget,
                retry_after,
            },
            EvictionAnswer::Throttled {
                message,
                retry_after,
            } => Self::Retry {
                outcome: PodOutcome::Failed,
                message,
                budget: None,
                retry_after,
            },
            EvictionAnswer::Forbidden { message } => Self::Forbidden(message),
            EvictionAnswer::Unknown { message } => Self::Lost(message),
        }
    }
}

/// The outcome after a lost response, from a read of the pod. `lost` is the message about the lost
/// response.
pub(super) fn confirm(lost: &str, read: Result<PodState, String>) -> (PodOutcome, String) {
    match read {
        Ok(PodState::Terminating | PodState::Gone) => (
            PodOutcome::Evicted,
            format!("the response was lost, and the pod is gone: {lost}"),
        ),
        // The request may still be in transit, so this does not prove that it failed.
        Ok(PodState::Present { .. } | PodState::OptedOut) => (
            PodOutcome::Unknown,
            format!("the response was lost, and the pod still exists: {lost}"),
        ),
        Err(why) => (
            PodOutcome::Unknown,
            format!("the response was lost ({lost}), and the pod could not be read: {why}"),
        ),
    }
}
