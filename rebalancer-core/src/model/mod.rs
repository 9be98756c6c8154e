//! The words of the domain as types that cannot hold nonsense.

mod index;
mod pod;
mod quantity;
mod workload;

pub use index::PodIndex;
pub use pod::{Evictability, Pod, PodPhase, PodRef, PodUid, SampleFault};
pub use quantity::{
    Cores, InvalidQuantity, Load, MaxUnavailable, MinimumPods, Percent, Rate, Seconds, Tolerance,
    TopK,
};
pub use workload::{Autoscaler, CpuMetric, PodFailure, Rollout, WorkloadRef, WorkloadState};
