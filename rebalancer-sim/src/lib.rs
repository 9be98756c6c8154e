//! A simulated cluster and consumer group in memory, under virtual time.
//!
//! The pods of a Deployment consume a topic as one group. The load of a pod follows from the
//! partitions that it owns: a base load plus a cost for each record. An eviction creates a
//! replacement immediately. The old pod leaves the group and its partitions go to other members;
//! when the replacement is ready it joins and receives partitions. All assignments are those of
//! Kafka's own assignors. The metrics show loads through a rate window, delayed and smoothed.
//!
//! [`SimWorld`] provides the ports of [`rebalancer_core::ports`]. Code that runs on a real cluster
//! can run on a simulated one, deterministically, and with hours of virtual time in milliseconds.
//!
//! An assignment can be handed out to the group through [`SimCoordinator`]. Meanwhile a detailed
//! model of the coordinator and its clients plays the group; see [`kafka`].
//!
//! There are no faults unless they are configured: see [`faults`].
//!
//! The crate has no I/O and no real clock, and its only source of randomness is the seed.
//!
//! ```
//! use std::time::Duration;
//!
//! use rebalancer_core::ports::{Clock, MetricsSource, PodActuator};
//! use rebalancer_sim::{SimConfig, SimWorld};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let world = SimWorld::new(SimConfig::seeded(10))?;
//! let (metrics, actuator, clock) = (world.metrics(), world.actuator(), world.clock());
//!
//! // Find the hottest pod.
//! let loads = metrics.loads().await?;
//! let hottest = loads
//!     .samples
//!     .iter()
//!     .max_by_key(|sample| sample.measurement.load())
//!     .ok_or("no samples")?;
//! let pods = actuator.observe().await?.pods;
//! let pod = pods
//!     .iter()
//!     .find(|pod| pod.name == hottest.pod)
//!     .ok_or("not in the cluster")?;
//!
//! // Evict it. Ten minutes later a replacement is ready.
//! actuator.evict(&pod.reference(), false).await;
//! assert_eq!(actuator.count_ready(8).await?, 7);
//! clock.sleep(Duration::from_secs(600)).await;
//! assert_eq!(actuator.count_ready(8).await?, 8);
//! assert!(world.loads().iter().all(|load| load.name != pod.name));
//! # Ok(())
//! # }
//! ```
//!
//! # Simplifications
//! - A rebalance interrupts only the partitions that change their owner. There is no lag: a
//!   partition that was not consumed for some time causes no additional load afterwards.
//! - There is one topic, to which all members subscribe.
//! - The HorizontalPodAutoscaler has equal minimum and maximum, so it never scales.

mod budget;
mod config;
mod coordinator;
mod fault_draws;
mod fault_plan;
pub mod faults;
mod group;
mod history;
pub mod kafka;
mod pod;
mod ports;
mod seeded;
mod shared;
mod state;
mod timeline;
mod topic;
mod trace;
mod traffic;
mod views;
mod world;

pub use budget::{Budget, BudgetLimit};
pub use config::{InvalidConfig, SimConfig};
pub use coordinator::SimCoordinator;
pub use ports::{SimActuator, SimClock, SimJournal, SimLease, SimMetrics};
pub use views::{EvictionRecord, PartitionOwner, PartitionView, PodLoad};
pub use world::SimWorld;
