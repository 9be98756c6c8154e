//! The journal: a record of the run's actions, for people and for later runs.

use async_trait::async_trait;
use jiff::Timestamp;

use super::PortError;
use crate::history::Rotation;
use crate::model::PodRef;
use crate::proposal::ProposedPlan;

/// Publishes the actions of a run, and stores its rotation for later runs.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Publishes an entry for people and their alerts.
    ///
    /// # Errors
    /// If the entry could not be published.
    async fn publish(&self, entry: &JournalEntry) -> Result<(), PortError>;

    /// Stores `rotation` for the next run and replaces the previous one.
    ///
    /// Returns the new generation of the workload if storing the rotation caused one, as an
    /// annotation of a Deployment does, and `None` otherwise.
    ///
    /// # Errors
    /// If the rotation could not be stored.
    async fn remember(&self, rotation: &Rotation) -> Result<Option<i64>, PortError>;

    /// Stores a plan that waits for approval in place of the previous one, and removes an approval.
    ///
    /// # Errors
    /// If the plan could not be stored.
    async fn propose(&self, plan: &ProposedPlan) -> Result<(), PortError>;

    /// Removes the stored plan and its approval, in one step and only if `plan` is the approved
    /// one, so that an approval is used once.
    ///
    /// Returns the new generation of the workload, as [`remember`](Self::remember) does.
    ///
    /// # Errors
    /// If `plan` is not approved any more, or the approval was not removed, or may not have been.
    async fn use_approval(&self, plan: &ProposedPlan) -> Result<Option<i64>, PortError>;
}

/// An action that was performed, or was planned and not performed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The pod concerned; `None` if the entry is about the workload as a whole.
    pub pod: Option<PodRef>,
    /// A machine-readable word, such as `Rotated`.
    pub reason: &'static str,
    /// One sentence for people, with the numbers.
    pub message: String,
    /// Whether the entry is a warning.
    pub warning: bool,
    /// The time of the action, by the clock of the cluster.
    pub at: Timestamp,
}
