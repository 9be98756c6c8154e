//! The topic of the simulated group.

/// The topic that the group consumes.
pub(crate) const TOPIC: &str = "events";
