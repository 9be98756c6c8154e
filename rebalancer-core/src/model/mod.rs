//! The vocabulary of the domain, as types that hold valid values only.

mod hold_query;
mod index;
mod measurement;
mod past_loads;
mod pause;
mod pod;
mod quantity;
mod workload;

pub use hold_query::HoldQueryResult;
pub use index::PodIndex;
pub use measurement::{DifferingLabel, LoadUnit, Measurement, SampleFault, SampleInfo};
pub use past_loads::{PastLoad, PastLoads};
pub use pause::Pause;
pub use pod::{Deletion, Evictability, InvalidPod, Pod, PodPhase, PodRef, PodUid};
pub use quantity::{
    Cores, InvalidQuantity, Load, MaxUnavailable, MinimumPods, Percent, Rate, Seconds, Tolerance,
    TopK,
};
pub use workload::{
    Autoscaler, CpuMetric, PausedAutoscaler, PodFailure, Rollout, RolloutFailure, WorkloadRef,
    WorkloadState,
};
