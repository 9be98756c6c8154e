//! The decision logic of the rebalancer as a library. The input is a snapshot of one workload; the
//! output is a plan (pods to evict, partitions to move, or members that rejoin), or a reason to
//! hold.
//!
//! The pods of a workload may share its work unevenly, as the consumers of a Kafka group do. The
//! rebalancer evens out the load: it hands another assignment out to the group, or lets pods
//! restart or rejoin, so that the group assigns their partitions again. This crate decides whether
//! an action is safe and worthwhile, reports the reasons, and contains the state machines that
//! execute the plan.
//!
//! # Data flow
//! ```text
//! MetricsSource ─┐                                  ┌─► Execution ⇄ PodActuator ─────┐
//! GroupSource ───┼─► Snapshot ─► decide ─► Decision ┤                                ├─► Report
//! PodActuator ───┘                                  └─► Handover ⇄ GroupCoordinator ─┘
//! ```
//! The modules in the order of the data flow. Each module uses only modules above it:
//!
//! | module | contents |
//! |---|---|
//! | [`model`] | the vocabulary: pods, loads, workloads, as types without invalid values |
//! | [`lease`] | the lease of a workload: durations and holder |
//! | [`statistics`] | means, medians, percentiles and spreads |
//! | [`policy`] | the operator's rules, validated |
//! | [`plan`] | the victims, their roles and their waves; the moves or the pods of a plan without evictions |
//! | [`history`] | the record of an earlier rotation |
//! | [`proposal`] | a plan that waits for the approval of a person |
//! | [`ports`] | the traits for everything outside the core: metrics, pods, lease, journal, clock |
//! | [`group`] | the consumer group: members, topics, owners of partitions |
//! | [`snapshot`] | everything known about one workload at one instant, validated |
//! | [`forecast`] | the expected loads after a plan |
//! | [`checks`] | the safety rules, each with its verdict and its numbers |
//! | [`strategy`] | the selection of the victims; the assignment to hand out, or the members that rejoin |
//! | [`scenario`] | what-if: the loads of the group with other replicas, assignors or partitions |
//! | [`decision`] | [`decide`]: rotate, assign, rejoin or hold |
//! | [`backtest`] | the decisions on the metrics of the past |
//! | [`execution`] | the state machine that executes a plan |
//! | [`group_details`] | the consumer group as it was observed, for people |
//! | [`handover`] | the state machine that hands out an assignment to a group |
//! | [`approval`] | the rule that a person approves each plan |
//! | [`hold_record`] | the time for which runs have held |
//! | [`report`] | the JSON document of a run |
//!
//! # Purity
//! The functions of this crate are pure: no I/O, no clock, no environment, no threads, no hidden
//! randomness. Time is a field of the snapshot and an argument of the execution. The same input
//! yields the same bytes of JSON. Lints enforce this.
//!
//! # Making a decision
//! Build a snapshot in Rust:
//!
//! ```
//! use rebalancer_core::model::{Cores, Load, MinimumPods, Pod};
//! use rebalancer_core::{Policy, Snapshot, SnapshotData, decide};
//!
//! let loads = [("a", 1.2), ("b", 1.1), ("c", 0.8), ("d", 0.6), ("e", 0.4), ("f", 0.3)];
//! let mut pods = Vec::new();
//! for (name, load) in loads {
//!     pods.push(Pod::new(name).with_load(Load::new(load)?));
//! }
//! let snapshot = Snapshot::new(SnapshotData {
//!     target: Some(Cores::new(0.7)?),
//!     pods,
//!     ..SnapshotData::default()
//! })?;
//!
//! let policy = Policy {
//!     minimum_pods: MinimumPods::new(2)?,
//!     ..Policy::default()
//! };
//! let decision = decide(&snapshot, &policy);
//! let plan = decision.plan().ok_or("a plan")?;
//! let names: Vec<&str> = plan.victims().iter().map(|victim| victim.name.as_str()).collect();
//! assert_eq!(names, ["a", "b", "f", "e"]);
//! println!("{}", decision.message);
//!
//! // The default minimum of three ready pods does not allow this plan.
//! let decision = decide(&snapshot, &Policy::default());
//! assert_eq!(
//!     decision.message,
//!     "evicting 4 of 6 ready pods at once would leave 2, less than the minimum of 3 ready \
//!      pods: at most 3 pods unavailable at once would make the plan possible",
//! );
//! for check in &decision.checks {
//!     println!("{:?}: {}", check.verdict, check.message);
//! }
//! for pod in &decision.pods {
//!     println!("{} {:?} {:?} {:?}", pod.name, pod.load, pod.role, pod.reasons);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Or read it from JSON. The default of every field describes a healthy workload:
//!
//! ```
//! use rebalancer_core::{HoldReason, Policy, Snapshot, decide};
//!
//! let snapshot: Snapshot = serde_json::from_str(
//!     r#"{"target": 0.7, "pods": [{"name": "a", "load": 0.8}, {"name": "b", "load": 0.3}]}"#,
//! )?;
//! let decision = decide(&snapshot, &Policy::default());
//! assert_eq!(decision.hold_reason(), Some(HoldReason::WITHIN_TOLERANCE));
//! assert_eq!(serde_json::to_value(&decision)?["decision"]["reason"], "within_tolerance");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # Executing a plan
//! An [`Execution`] returns one step at a time and handles its result, until it is done. This
//! example simulates the cluster as a number of ready pods and a clock:
//!
//! ```
//! use std::time::Duration;
//!
//! use rebalancer_core::execution::{Baseline, Execution, ExecutionEvent, Step};
//! use rebalancer_core::model::WorkloadState;
//! use rebalancer_core::ports::{EvictionAnswer, PodState};
//! use rebalancer_core::{ExecutionPolicy, Policy, Snapshot, decide};
//!
//! let snapshot: Snapshot = serde_json::from_str(
//!     r#"{"target": 0.5, "pods": [
//!         {"name": "a", "load": 2.0}, {"name": "b", "load": 0.4}, {"name": "c", "load": 0.4},
//!         {"name": "d", "load": 0.3}, {"name": "e", "load": 0.1}, {"name": "f", "load": 0.2}
//!     ]}"#,
//! )?;
//! let decision = decide(&snapshot, &Policy::default());
//! let plan = decision.plan().ok_or("a plan")?;
//!
//! let mut now = Duration::ZERO;
//! let mut ready = snapshot.ready();
//! let baseline = Baseline::of(&snapshot);
//! let minimum = Policy::default().minimum_pods;
//! let mut execution = Execution::new(plan, minimum, ExecutionPolicy::default(), baseline, now);
//! let mut evicted = Vec::new();
//! loop {
//!     let event = match execution.step(now) {
//!         Step::ReadPod(_) => ExecutionEvent::PodRead(Ok(PodState::Present { ready: true })),
//!         Step::CountReady { .. } => ExecutionEvent::ReadyCounted(Ok(ready)),
//!         Step::Evict(victim) => {
//!             ready -= 1;
//!             evicted.push(victim.name);
//!             ExecutionEvent::EvictionAnswered(EvictionAnswer::Evicted)
//!         }
//!         Step::ReadWorkload { .. } => {
//!             ready = snapshot.ready(); // The replacements start at once.
//!             ExecutionEvent::WorkloadRead(Ok(WorkloadState { ready, ..WorkloadState::default() }))
//!         }
//!         Step::RenewLease => unreachable!("the run has no lease"),
//!         Step::Wait(pause) => {
//!             now += pause;
//!             ExecutionEvent::Elapsed
//!         }
//!         Step::Done => break,
//!     };
//!     execution.handle(now, event);
//! }
//! assert_eq!(evicted, ["a", "e", "f"]);
//! assert_eq!(execution.report().message, "3 of 3 pods evicted");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! - `proptest`: the module `generate`, with strategies that generate snapshots and policies for
//!   property tests.
//! - `schema`: `schemars::JsonSchema` for the types of the documents.

pub mod approval;
pub mod backtest;
pub mod checks;
pub mod decision;
pub mod execution;
pub mod forecast;
#[cfg(feature = "proptest")]
pub mod generate;
pub mod group;
pub mod group_details;
pub mod handover;
pub mod history;
mod hold_reason;
pub mod hold_record;
pub mod lease;
pub mod model;
pub mod plan;
pub mod policy;
pub mod ports;
pub mod proposal;
pub mod report;
pub mod scenario;
mod serialization;
pub mod snapshot;
pub mod statistics;
pub mod strategy;
mod wording;

#[doc(inline)]
pub use decision::{Action, Analysis, Decision, HoldReason, PodAssessment, decide};
#[doc(inline)]
pub use execution::Execution;
#[doc(inline)]
pub use plan::Plan;
#[doc(inline)]
pub use policy::{ExecutionPolicy, Policy, Strategy};
#[doc(inline)]
pub use snapshot::{Snapshot, SnapshotData};

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
