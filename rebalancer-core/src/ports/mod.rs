//! The ports: traits for everything outside the core, with plain types for their results.
//!
//! An adapter serves one workload. The program that creates it passes the endpoints, queries and
//! names. [`MetricsSource`], [`GroupSource`] and [`PodActuator`] are read concurrently, so none may
//! depend on the result of another.

mod autoscaler;
mod clock;
mod coordinator;
mod error;
mod group;
mod journal;
mod lease;
mod metrics;
mod workload;

pub use autoscaler::{AutoscalerCandidate, ScaleTarget};
pub use clock::Clock;
pub use coordinator::{
    CoordinatorError, CoordinatorErrorKind, GroupCoordinator, JoinRequest, JoinedGroup,
    JoinedMember, JoinedSubscription, LeavingMember, MemberAssignment, OwnMember, SyncRequest,
    TopicPartition,
};
pub use error::{PortError, PortErrorKind};
pub use group::{
    DescribedGroup, DescribedMember, DescribedTopic, GroupKind, GroupObservation, GroupSource,
    GroupState, LagSample, MemberLabels, OffsetsWentBack, OwnerSample, RateSample,
};
pub use journal::{Journal, JournalEntry};
pub use lease::{LeaseState, RunLease};
pub use metrics::{DuplicateSeries, LoadObservation, LoadSample, MetricsSource};
pub use workload::{DisruptionBudget, EvictionAnswer, PodActuator, PodState, WorkloadObservation};
