//! The ports: traits for everything outside the core, with plain types for their results.
//!
//! An adapter serves one workload. The program that creates it passes the endpoints, queries and
//! names. [`MetricsSource`] and [`PodActuator`] are read concurrently, so neither may depend on the
//! result of the other.

mod autoscaler;
mod clock;
mod error;
mod group;
mod journal;
mod lease;
mod metrics;
mod workload;

pub use autoscaler::{AutoscalerCandidate, ScaleTarget};
pub use clock::Clock;
pub use error::{PortError, PortErrorKind};
pub use group::{GroupObservation, MemberLabels, OffsetsWentBack, OwnerSample, RateSample};
pub use journal::{Journal, JournalEntry};
pub use lease::{LeaseState, RunLease};
pub use metrics::{DuplicateSeries, LoadObservation, LoadSample, MetricsSource};
pub use workload::{EvictionAnswer, PodActuator, PodState, WorkloadObservation};
