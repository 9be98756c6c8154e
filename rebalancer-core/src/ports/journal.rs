//! The journal: a record of what was done, for people and for later runs.

use async_trait::async_trait;
use jiff::Timestamp;

use super::PortError;
use crate::history::Rotation;
use crate::model::PodRef;

/// Tells the world, and later runs, what was done.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Publishes what was done, for people and their alerts.
    ///
    /// # Errors
    /// When it could not be published.
    async fn publish(&self, entry: &JournalEntry) -> Result<(), PortError>;

    /// Keeps `rotation` for the next run, in the place of the one before. The answer is the
    /// generation that the workload has by it, where that itself gave it a new one, as an
    /// annotation does to a Deployment; `None` where it did not.
    ///
    /// # Errors
    /// When it could not be kept.
    async fn remember(&self, rotation: &Rotation) -> Result<Option<i64>, PortError>;
}

/// Something that was done, or not done although it was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The pod it was done to; `None` when it is about the workload as a whole.
    pub pod: Option<PodRef>,
    /// A word for machines, such as `Rotated`.
    pub reason: &'static str,
    /// One sentence for people, with the numbers.
    pub message: String,
    /// It is not as it should be.
    pub warning: bool,
    /// When, by the clock of the cluster.
    pub at: Timestamp,
}
