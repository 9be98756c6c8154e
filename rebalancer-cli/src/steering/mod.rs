//! The commands that steer the runs of a workload: their document, the workload as it was read, and
//! its history.

mod document;
mod history;
mod target;

pub use document::{
    HistoryEntry, LastHold, SCHEMA, SteeredWorkload, SteeringCommand, SteeringReport,
    WorkloadStatus,
};
pub(crate) use history::entries;
pub(crate) use target::{Failure, Target};
