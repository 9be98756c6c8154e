//! The decision of the rebalancer, as a library: everything known about the pods of one workload
//! in, a plan of evictions or a reason to hold out.
//!
//! A workload whose pods share work unevenly (the consumers of a Kafka group, say) is evened out
//! by evicting the hottest pods together with the coldest: their work is dealt out anew. This
//! crate decides whether that is worth it and safe, says why, and knows how to carry it out with
//! care. It does none of it by itself.
//!
//! # The walk of the data
//! ```text
//! MetricsSource ─┐
//!                ├─► Snapshot ─► decide ─► Decision ─► Execution ⇄ PodActuator ─► Report
//! PodActuator  ──┘
//! ```
//! The modules are in that order, so that a rule is found by walking it:
//!
//! | module | holds |
//! |---|---|
//! | [`model`] | the words of the domain, as types that cannot hold nonsense |
//! | [`ports`] | what is needed from the world, as traits |
//! | [`snapshot`] | what is known at one instant, and the target that follows from it |
//! | [`policy`] | the operator's rules |
//! | [`checks`] | every rule of safety, each with its verdict and its numbers |
//! | [`strategy`] | the rule that chooses victims |
//! | [`decision`] | all of it put together: rotate or hold |
//! | [`plan`] | who goes, why, and in which wave |
//! | [`execution`] | the state machine that carries a plan out |
//! | [`report`] | the document of a whole run |
//!
//! # Purity
//! No I/O, no clock, no environment, no threads, no hidden randomness: time is a field of the
//! snapshot and an argument of the execution, and the same input gives the same bytes of JSON. The
//! linter refuses anything else.
//!
//! # Decide, and read why
//! Build a snapshot by hand, in Rust:
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
//! // With the default minimum of three ready pods the same snapshot is held, and it says why.
//! let decision = decide(&snapshot, &Policy::default());
//! assert_eq!(
//!     decision.message,
//!     "4 of 6 ready pods out at once would leave 2, but MINIMUM_PODS_REQUIRED is 3: \
//!      MAX_UNAVAILABLE=3 would make the plan possible",
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
//! Or from JSON, where whatever is left out describes a healthy, settled workload:
//!
//! ```
//! use rebalancer_core::{HoldReason, Policy, Snapshot, decide};
//!
//! let snapshot: Snapshot = serde_json::from_str(
//!     r#"{"target": 0.7, "pods": [{"name": "a", "load": 0.8}, {"name": "b", "load": 0.3}]}"#,
//! )?;
//! let decision = decide(&snapshot, &Policy::default());
//! assert_eq!(decision.hold_reason(), Some(HoldReason::WithinTolerance));
//! assert_eq!(serde_json::to_value(&decision)?["decision"]["reason"], "within_tolerance");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # Carry a plan out
//! An [`Execution`] is asked what to do, and told what came of it, until it
//! is done. Here the world is a number of ready pods and a clock that jumps:
//!
//! ```
//! use std::time::Duration;
//!
//! use rebalancer_core::execution::{Baseline, ExecutionEvent, Execution, Step};
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
//! let before = Baseline::of(&snapshot);
//! let mut execution = Execution::new(plan, ExecutionPolicy::default(), before, now);
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
//!             ready = snapshot.ready(); // The replacements are quick.
//!             ExecutionEvent::WorkloadRead(Ok(WorkloadState { ready, ..WorkloadState::default() }))
//!         }
//!         Step::RenewLease => unreachable!("there is none"),
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
//! - `proptest`: strategies that generate snapshots and policies, for testing your own policies;
//!   the module `generate` has an example.
//! - `schema`: JSON Schemas of the documents, through `schemars`.

pub mod checks;
pub mod decision;
pub mod execution;
pub mod forecast;
#[cfg(feature = "proptest")]
pub mod generate;
pub mod group;
pub mod history;
pub mod lease;
pub mod model;
pub mod plan;
pub mod policy;
pub mod ports;
pub mod report;
pub mod snapshot;
pub mod strategy;

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
