//! The commands that steer the runs of a workload: their document, and the history of a workload.

mod document;
mod history;

pub use document::{
    HistoryEntry, LastHold, SCHEMA, SteeredWorkload, SteeringCommand, SteeringReport,
    WorkloadStatus,
};
pub(crate) use history::entries;
