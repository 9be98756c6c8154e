//! Faults between a rebalancer and a simulated cluster, and in the cluster itself.
//!
//! A world whose [`SimConfig::faults`](crate::SimConfig::faults) is a [`FaultPlan`] has two kinds
//! of faults. Calls of [`FaultyPorts`] fail, stall, are lost before or after they took effect, take
//! effect late, or get any response that the contract of the port allows. And the cluster is
//! disturbed: pods crash or are evicted by other clients, replacements do not start, budgets and
//! replicas change, a new template is rolled out, pods opt out.
//!
//! All faults follow from the seed of the plan. They do not affect the other randomness of a world,
//! so the same world can run with and without faults.
//!
//! Calls of [`FaultyPorts`] take time, so they must run under [`VirtualTime`].

mod ports;
mod time;

pub use ports::FaultyPorts;
pub use time::{NotFinished, RunLimits, Sleep, VirtualTime};

pub use crate::fault_plan::{FaultPlan, LATEST_EFFECT, LONGEST_OVERSLEEP, REQUEST_TIMEOUT};
pub use crate::trace::{Effect, EvictionRequest, TraceEvent, TraceRecord};
