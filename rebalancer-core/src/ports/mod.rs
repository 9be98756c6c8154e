//! The ports: what the core needs from the world, as traits beside plain types.
//!
//! An adapter is made for one workload; whoever wires the program gives it what it needs to know
//! (endpoints, queries, names). Both ports are asked concurrently, so neither depends on what the
//! other answered.

mod clock;
mod error;
mod group;
mod journal;
mod lease;
mod metrics;
mod workload;

pub use clock::Clock;
pub use error::{PortError, PortErrorKind};
pub use group::{GroupObservation, MemberLabels, OwnerSample, RateSample};
pub use journal::{Journal, JournalEntry};
pub use lease::{LeaseState, RunLease};
pub use metrics::{LoadObservation, LoadSample, MetricsSource};
pub use workload::{EvictionAnswer, PodActuator, PodState, WorkloadObservation};
